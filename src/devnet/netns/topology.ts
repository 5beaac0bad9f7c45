import type { RouterTraffic } from "../ground.ts";

/** One network namespace of the devnet: its name is also that of the router's end of its link. */
export type Place = {
  name: string;
  /** its address, and the router's on the link, for both families */
  address: string;
  gateway: string;
  address6: string;
  gateway6: string;
};

/**
 * The devnet as a network: places around a router, each on a link of its own, with addresses as the internet has them, so that the
 * exit policy applies as it is shipped.
 */
export type Topology = {
  places: readonly Place[];
  consumer: Place;
  exits: readonly Place[];
  /** who the consumer talks to outside of the tunnel beside exits: chain and bootstrap peer */
  bootstrap: Place;
  /** web site and resolver */
  target: Place;
};

/** inside every place */
const link = "eth0";
const table = "devnet";

/** Public addresses by what they stand for. None of them is reached: the router has no way out. */
const addresses = { bootstrap: "46.4.10.2", consumer: "81.2.69.2", guest: "82.64.7.2", target: "151.101.65.2" };

/** @param exits name and IPv4 address of each */
export function topologyOf(exits: readonly { name: string; address: string }[]): Topology {
  const list = [...exits, ...Object.entries(addresses).map(([name, address]) => ({ name, address }))];
  const places = list.map(({ name, address }, index): Place => {
    const net6 = `2600:1f18:4000:${(index + 1).toString(16)}`;
    return { name, address, gateway: address.replace(/\d+$/, "1"), address6: `${net6}::2`, gateway6: `${net6}::1` };
  });
  const place = (name: string): Place => {
    const found = places.find((one) => one.name === name);
    if (!found) throw new RangeError(`no place called ${name}`);
    return found;
  };
  return {
    places,
    consumer: place("consumer"),
    exits: exits.map(({ name }) => place(name)),
    bootstrap: place("bootstrap"),
    target: place("target"),
  };
}

/** `ip -batch` for the router's namespace. `pids`: by place, a process in its namespace. */
export const routerLines = ({ places }: Topology, pids: ReadonlyMap<string, number>): string[] => [
  "link set lo up",
  ...places.flatMap(({ name, gateway, gateway6 }) => [
    `link add ${name} type veth peer name ${link} netns ${pids.get(name)}`,
    `address add ${gateway}/24 dev ${name}`,
    `address add ${gateway6}/64 dev ${name} nodad`,
    `link set ${name} up`,
  ]),
];

/** `ip -batch` for the namespace of a place, once the router's is done. */
export const placeLines = ({ address, gateway, address6, gateway6 }: Place): string[] => [
  "link set lo up",
  `address add ${address}/24 dev ${link}`,
  `address add ${address6}/64 dev ${link} nodad`,
  `link set ${link} up`,
  `route add default via ${gateway}`,
  `route add default via ${gateway6}`,
];

/**
 * `tc -batch` for the router: places have lines of a speed as people have them. Without, whole bursts arrive at memory's speed, which a
 * socket's buffer does not hold while its process waits for a processor.
 */
export const lineSpeeds = ({ places, target }: Topology): string[] =>
  places.filter((place) => place !== target).map(({ name }) => `qdisc add dev ${name} root tbf rate 100mbit burst 32kb latency 60ms`);

/** what the router must do beside: by path below /proc/sys */
export const routerSysctls = { "net/ipv4/ip_forward": "1", "net/ipv6/conf/all/forwarding": "1" };

export const resolvConf = ({ target }: Topology): string => `nameserver ${target.address}\n`;

const tunnel = "tunnel";
const outside = "outside";

/**
 * nftables of the router: it counts and drops nothing. UDP between the consumer and an exit is the tunnel; TCP to exits, chain and
 * bootstrap peer is the control plane; whatever else the consumer sends goes outside of the tunnel. Neighbour discovery is how
 * IPv6 finds the router at all, and carries nothing.
 */
export function routerRules({ consumer, exits, bootstrap }: Topology): string {
  const from = `iifname "${consumer.name}"`;
  const set = (places: readonly Place[]) => `{ ${places.map(({ address }) => address).join(", ")} }`;
  return [
    `table inet ${table} {`,
    `counter ${tunnel} { }`,
    `counter ${outside} { }`,
    "chain forward { type filter hook forward priority 0; policy accept;",
    `ip saddr ${consumer.address} ip daddr ${set(exits)} meta l4proto udp counter name ${tunnel} accept`,
    `ip saddr ${set(exits)} ip daddr ${consumer.address} meta l4proto udp counter name ${tunnel} accept`,
    `${from} ip daddr ${set([...exits, bootstrap])} meta l4proto tcp accept`,
    `${from} counter name ${outside}`,
    "}",
    "chain input { type filter hook input priority 0; policy accept;",
    `${from} icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, mld2-listener-report } accept`,
    `${from} counter name ${outside}`,
    "}",
    "}",
    "",
  ].join("\n");
}

/** an IPv4 header without options, and that of UDP */
const headers = 28n;

/** What the router has counted so far. @param text of `nft -j list counters` */
export function parseTraffic(text: string): RouterTraffic {
  type Counter = { name: string; packets: number; bytes: number };
  const { nftables } = JSON.parse(text) as { nftables: { counter?: Counter }[] };
  const counter = (name: string) => nftables.find((one) => one.counter?.name === name)?.counter ?? { packets: 0, bytes: 0 };
  const { packets, bytes } = counter(tunnel);
  return { tunnelBytes: BigInt(bytes) - BigInt(packets) * headers, outsidePackets: counter(outside).packets };
}

export const listCounters = ["-j", "list", "counters", "table", "inet", table];
