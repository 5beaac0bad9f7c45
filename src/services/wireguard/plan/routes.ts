import type { Endpoint } from "../types.ts";
import { checkIfname, checkIPv4, checkMtu, checkOneOf, checkPort, checkUid } from "./check.ts";
import type { IpStep } from "./host-plan.ts";

/** Routing table and packet mark of the client; as with wg-quick they have one number. ("my" in ASCII) */
export const clientTable = 28_025;
export const clientMark = 28_025;

/** With two hops: those of the tunnel to the second exit, whose packets go into the tunnel to the first, or nowhere. ("mf" in ASCII) */
export const throughTable = 28_006;
export const throughMark = 28_006;

/** Priorities of our policy rules: before the kernel's own (32766), and in this order. */
export const preference = { own: 18_190, bound: 18_195, control: 18_200, dns: 18_210, split: 18_215, specific: 18_220, tunnel: 18_230 };

/** Behind the tunnel's own route, so that it is met only where that one is missing. */
const unreachableMetric = 4_096;

export type RouteFacts = {
  ifname: string;
  /** the address that the exit gave us */
  address: string;
  /** and of IPv6, where it is in use */
  address6?: string;
  /** where DNS questions go; asked through the tunnel whatever routes a network announces */
  dns: string;
  /** another resolver that is asked through the tunnel */
  resolver?: string;
  mtu: number;
  pathMtu: number;
  /** whether this kernel has IPv6 at all */
  ipv6: boolean;
};

type DeviceFacts = Pick<RouteFacts, "ifname" | "address" | "dns" | "mtu" | "pathMtu">;

export type ControlFacts = { uid: number; control: Endpoint[] };

/** The tunnel to the first of two exits. */
export type FirstRouteFacts = DeviceFacts & {
  /** whether there is no tunnel within yet: only then is it asked by its own address, which both exits may have given us */
  alone: boolean;
};

const pair = (family: 4 | 6, kind: "rule" | "route", what: string): IpStep => ({
  family,
  add: `${kind} add ${what}`,
  del: `${kind} del ${what}`,
});

/**
 * Address, MTU and policy routing as wg-quick has them: what is not marked as the tunnel's own goes by our table, unless the main table
 * knows a route more specific than a default. Our table also has an `unreachable default`, in IPv6 nothing else: when the device
 * has gone, nothing falls back to another. In this order a packet never meets a rule whose table is still empty.
 * @throws BAD_VALUE for a fact that is not what it should be
 */
export function tunnelSteps(facts: RouteFacts): IpStep[] {
  return [
    ownStep,
    ...blockingSteps(facts.ipv6),
    ...deviceSteps(facts, clientTable),
    ...(facts.address6 === undefined ? [] : deviceSteps6(facts, facts.address6)),
    // what asks for the tunnel by its address gets it, the node's own connections to peers too: that is how it looks at itself from outside
    boundStep(facts, clientTable),
    ...[facts.dns, ...(facts.resolver === undefined ? [] : [facts.resolver])].map((resolver) =>
      pair(4, "rule", `pref ${preference.dns} to ${checkIPv4(resolver)}/32 lookup ${clientTable}`),
    ),
  ];
}

function deviceSteps(facts: DeviceFacts, table: number): IpStep[] {
  const tun = checkIfname(facts.ifname);
  const address = `${checkIPv4(facts.address)}/32`;
  return [
    { family: 4, add: `addr add ${address} dev ${tun}`, del: `addr del ${address} dev ${tun}` },
    { family: 4, add: `link set dev ${tun} mtu ${checkMtu(facts.mtu)} up`, del: `link set dev ${tun} down` },
    // in place of the one before, so that another size leaves no moment without it
    {
      family: 4,
      add: `route replace default dev ${tun} table ${table} mtu ${checkMtu(facts.pathMtu)}`,
      del: `route del default dev ${tun} table ${table}`,
    },
    // what passes is found out by packets of any size
    pair(4, "route", `${checkIPv4(facts.dns)} dev ${tun} table ${table}`),
  ];
}

/** After the device is up, which would lose it. */
function deviceSteps6({ ifname, pathMtu }: DeviceFacts, address: string): IpStep[] {
  const tun = checkIfname(ifname);
  const family = 6 as const;
  return [
    { family, add: `addr add ${address}/128 dev ${tun} nodad`, del: `addr del ${address}/128 dev ${tun}` },
    {
      family,
      add: `route replace default dev ${tun} table ${clientTable} mtu ${checkMtu(pathMtu)}`,
      del: `route del default dev ${tun} table ${clientTable}`,
    },
  ];
}

const boundStep = ({ address }: DeviceFacts, table: number): IpStep =>
  pair(4, "rule", `pref ${preference.bound} from ${checkIPv4(address)}/32 lookup ${table}`);

/**
 * The tunnel to the first exit carries what is marked as the second tunnel's own, and the node's connections to the second exit; for both there is
 * no other way, before it is up and after it has gone. Those connections come first of all: they may have the very address that the second exit gave us.
 * @throws BAD_VALUE for a fact that is not what it should be
 */
export const firstSteps = (facts: FirstRouteFacts): IpStep[] => [
  ...deviceSteps(facts, throughTable),
  ...(facts.alone ? [boundStep(facts, throughTable)] : []),
];

/** What goes through the first tunnel, and has no other way while that is not there. */
export function throughSteps({ uid, through }: { uid: number; through: Endpoint[] }): IpStep[] {
  return [
    pair(4, "route", `unreachable default metric ${unreachableMetric} table ${throughTable}`),
    pair(4, "rule", `pref ${preference.own} fwmark ${throughMark} lookup ${throughTable}`),
    ...through.map(({ address, port, protocol }) =>
      pair(
        4,
        "rule",
        `pref ${preference.own} uidrange ${checkUid(uid)}-${uid} to ${address}/32 ipproto ${protocol} dport ${port} lookup ${throughTable}`,
      ),
    ),
  ];
}

/** The tunnel's own packets know their way without a look at any other of our rules: there may be one for each peer of the control plane. */
export const ownStep = pair(4, "rule", `pref ${preference.own} fwmark ${clientMark} lookup main`);

/** The part that stands with and without a tunnel: no route of another device is a default for what is not the tunnel's own. */
export function blockingSteps(ipv6: boolean): IpStep[] {
  const families: (4 | 6)[] = ipv6 ? [4, 6] : [4];
  return families.flatMap((family) => [
    pair(family, "route", `unreachable default metric ${unreachableMetric} table ${clientTable}`),
    pair(family, "rule", `pref ${preference.specific} lookup main suppress_prefixlength 0`),
    pair(family, "rule", `pref ${preference.tunnel} not fwmark ${clientMark} lookup ${clientTable}`),
  ]);
}

/**
 * The control plane keeps its way outside of the tunnel: connections of one user to the addresses, ports and protocols given. Those
 * to IPv6 addresses are passed over, for nothing of IPv6 leaves.
 * @throws BAD_VALUE for an endpoint that is not what it should be
 */
export const controlSteps = ({ uid, control }: ControlFacts): IpStep[] =>
  controlEndpoints(control).map(({ address, port, protocol }) =>
    pair(
      4,
      "rule",
      `pref ${preference.control} uidrange ${checkUid(uid)}-${uid} to ${address}/32 ipproto ${protocol} dport ${port} lookup main`,
    ),
  );

/** Networks, checked, whose routes are those that the machine has without a tunnel. */
export const splitSteps = (networks: string[]): IpStep[] =>
  networks.map((network) => pair(4, "rule", `pref ${preference.split} to ${network} lookup main`));

/** Checked, those of IPv4 only, each once; `through`: those that are reached through the first of two tunnels, in place of those that are not. */
export function controlEndpoints(control: Endpoint[], through = false): Endpoint[] {
  const checked = control
    .filter((endpoint) => !String(endpoint.address).includes(":") && (endpoint.through ?? false) === through)
    .map(({ address, port, protocol }) => ({
      address: checkIPv4(address),
      port: checkPort(port),
      protocol: checkOneOf("protocol", protocol, ["tcp", "udp"] as const),
    }));
  return [...new Map(checked.map((endpoint) => [Object.values(endpoint).join(" "), endpoint])).values()];
}
