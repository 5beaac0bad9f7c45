import { createToolSession } from "../../../src/services/wireguard/backend/tool-session.ts";
import { createHold } from "../../../src/services/wireguard/host/hold.ts";
import { type KillSwitchFacts, killSwitchPlan } from "../../../src/services/wireguard/plan/client.ts";
import { clientMark } from "../../../src/services/wireguard/plan/routes.ts";
import type { Standing, TunnelFacts } from "../../../src/services/wireguard/plan/standing.ts";
import { until } from "../../support/until.ts";
import { cable, type Namespace, openNamespace } from "../support/namespaces.ts";

export const own = "10.182.0.2";
export const tunnelDns = "10.182.0.1";
export const lan = "11.0.0.2";
/** beside it, on the same cable, what counts as local */
export const [home, neighbour] = ["192.168.7.1", "192.168.7.2"];
export const internet = "13.0.0.1";
export const resolver = "13.0.0.53";
export const lastingPeer = "13.0.0.3";
export const controlPeer = "13.0.0.4";
export const exitAddress = "13.0.0.5";
export const otherExit = "13.0.0.6";
export const exitPort = 51_820;
/** the exit's port may be any, also that of DNS */
export const uid = 4_242;
/** the source port that stands for the tunnel's own socket: what it sends is marked */
export const markedPort = 4_444;
export const tunnel: TunnelFacts = {
  exit: { address: exitAddress, port: exitPort },
  address: own,
  dns: tunnelDns,
  mtu: 1420,
  pathMtu: 1280,
};

/** Sends from the tunnel's own socket, and says what comes of it. */
export const marked = (address: string, port: number): string =>
  `${process.execPath} -e 'const s=require("dgram").createSocket("udp4");const t=setTimeout(()=>{console.log("nothing");s.close()},300);s.on("message",()=>{clearTimeout(t);console.log("answered");s.close()});s.on("error",()=>{});s.bind(${markedPort},"11.0.0.1",()=>s.send("x",${port},"${address}",()=>{}))'`;

export type KillSwitchRig = {
  consumer: Namespace;
  /** a process of the user whose control plane may pass */
  node: Namespace;
  /** everything behind the consumer's cable: its router, other machines on it, the internet */
  outside: Namespace;
  exit: Namespace;
  container: Namespace;
  facts: KillSwitchFacts;
  /** loads the plan, routes and all */
  load(standing: Standing, options?: KillSwitchFacts["options"], control?: KillSwitchFacts["control"]): Promise<void>;
  unload(what?: { routes: boolean }): Promise<void>;
  /** what another program may do, and what the rig itself needs of it made anew */
  flush(): void;
  /** what the consumer has sent by its cable since the last call: [what may leave, all else] in packets */
  seen(): { wireguard: number; control: number; dhcp: number; ndp: number; other: number };
  end(): Promise<void>;
};

const taps = ["wireguard", "control", "dhcp", "ndp", "other"] as const;

export async function openKillSwitchRig(): Promise<KillSwitchRig> {
  const [consumer, outside, exit, container] = (await Promise.all(
    ["consumer", "outside", "exit", "container"].map((name) => openNamespace(name)),
  )) as [Namespace, Namespace, Namespace, Namespace];
  const node = await openNamespace("consumer", { shared: true });
  await node.ask({ do: "become", uid });
  cable(consumer, "eth0", outside, "eth0");
  cable(consumer, "mystnode0", exit, "tun");
  cable(consumer, "docker0", container, "eth0");
  consumer.run(`ip addr add 11.0.0.1/24 dev eth0; ip addr add ${home}/24 dev eth0; ip addr add fd00::1/64 dev eth0 nodad; ip route add default via ${lan}; ip -6 route add default via fd00::2
    ip link set mystnode0 down; ip addr add 172.17.0.1/24 dev docker0
    sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.eth0.rp_filter=1 net.ipv4.conf.mystnode0.rp_filter=1`);
  const marker = () =>
    consumer.run(
      `nft add table inet marker; nft add chain inet marker out '{ type route hook output priority -300; }'; nft add rule inet marker out udp sport ${markedPort} meta mark set ${clientMark}`,
    );
  marker();
  container.run("ip addr add 172.17.0.2/24 dev eth0; ip route add default via 172.17.0.1");
  outside.run(`ip addr add ${lan}/24 dev eth0; ip addr add ${neighbour}/24 dev eth0; ip addr add fd00::2/64 dev eth0 nodad; ip route add 172.17.0.0/24 via 11.0.0.1; ip -6 addr add 2a00::1/128 dev lo
    for address in ${internet} ${resolver} ${controlPeer} ${exitAddress} ${otherExit} ${lastingPeer}; do ip addr add $address/32 dev lo; done`);
  outside.run(
    "nft -f -",
    `table inet tap {
      ${taps.map((name) => `counter ${name} { }`).join("\n      ")}
      chain in {
        type filter hook prerouting priority -400;
        iifname != "eth0" return
        ip daddr ${exitAddress} udp dport ${exitPort} counter name wireguard return
        ip daddr ${controlPeer} tcp dport 4001 counter name control return
        udp sport 68 udp dport 67 counter name dhcp return
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit } counter name ndp return
        counter name other
      }
    }\n`,
  );
  exit.run(
    `ip addr add ${tunnelDns}/24 dev tun; ip addr add ${internet}/32 dev lo; ip addr add ${resolver}/32 dev lo; ip route add 11.0.0.0/24 dev tun`,
  );
  await outside.ask({ do: "listen", tcp: [53, 80, 853, 4001, 4002], udp: [80] });
  // bound to its address, since the answer has to come from there
  for (const address of [exitAddress, otherExit]) await outside.ask({ do: "listen", tcp: [], udp: [53, 443, exitPort], address });
  await exit.ask({ do: "listen", tcp: [53, 80, 853], udp: [53] });
  await exit.ask({ do: "listen", tcp: [], udp: [80], address: internet });
  await consumer.ask({ do: "listen", tcp: [80], udp: [80] });
  const facts: KillSwitchFacts = { ifname: "mystnode0", uid, control: [{ address: controlPeer, port: 4001, protocol: "tcp" }], ipv6: true };
  let loaded = killSwitchPlan(facts, { state: "down" });
  const hold = createHold(createToolSession("nsenter", ["--net=/run/netns/consumer", "nft", "-s", "-t", "-i"]));
  const unload = async ({ routes } = { routes: true }) => {
    hold.close();
    // a table of its own goes once its owner has ended
    await until(() => !consumer.run("nft list tables").includes("mystnode_hold"));
    for (const { family, del } of routes ? loaded.steps.toReversed() : []) consumer.run(`ip -${family} ${del} 2>/dev/null || true`);
    consumer.run(`nft 'add table inet ${loaded.table}; delete table inet ${loaded.table}'`);
  };
  return {
    consumer,
    node,
    outside,
    exit,
    container,
    facts,
    load: async (standing, options, control = facts.control) => {
      const plan = killSwitchPlan({ ...facts, control, ...(options && { options }) }, standing);
      consumer.run("nft -f -", plan.nft);
      for (const { family, del } of loaded.steps.toReversed()) consumer.run(`ip -${family} ${del} 2>/dev/null || true`);
      for (const { family, add } of plan.steps) consumer.run(`ip -${family} ${add}`);
      if (plan.hold && !(await hold.set(plan.hold))) throw new Error("there is no table for us alone");
      consumer.run("sysctl -qw net.ipv4.conf.all.src_valid_mark=1");
      loaded = plan;
    },
    unload,
    flush: () => {
      consumer.run("nft flush ruleset");
      marker();
    },
    seen: () => {
      const text = outside.run("nft reset counters table inet tap");
      const packets = (name: string) => Number(new RegExp(`counter ${name} \\{\\s+packets (\\d+)`).exec(text)?.[1]);
      return {
        wireguard: packets("wireguard"),
        control: packets("control"),
        dhcp: packets("dhcp"),
        ndp: packets("ndp"),
        other: packets("other"),
      };
    },
    end: async () => {
      hold.close();
      await Promise.all([consumer, node, outside, exit, container].map((host) => host.end()));
    },
  };
}
