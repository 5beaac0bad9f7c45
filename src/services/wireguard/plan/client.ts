import { type Exceptions, exceptionsOf, lan4, lan6 } from "../exceptions.ts";
import { closed, type Endpoint, type ShieldOptions } from "../types.ts";
import { checkIfname, checkIPv4, checkMtu, checkPort, checkUid } from "./check.ts";
import { antispoof, fromFirst, intoFirst, ownPackets, restored } from "./first-hop.ts";
import { blackHoles, type HostPlan, holdTable, killSwitchTable, replaceTable } from "./host-plan.ts";
import { checkUla } from "./pool6.ts";
import {
  blockingSteps,
  clientMark,
  controlEndpoints,
  controlSteps,
  firstSteps,
  ownStep,
  splitSteps,
  throughMark,
  throughSteps,
  tunnelSteps,
} from "./routes.ts";
import { verdict } from "./shield.ts";
import type { FirstTunnel, Standing, TunnelFacts } from "./standing.ts";

export type KillSwitchFacts = {
  ifname: string;
  /** the user whose connections to `control` may pass outside of the tunnel */
  uid: number;
  control: Endpoint[];
  /** whether this kernel has IPv6 at all */
  ipv6: boolean;
  /** default: `closed` */
  options?: Pick<ShieldOptions, "lan" | "split" | "dns">;
};

/**
 * The plan of a client's host: what the table of `shield` says for a state, as table `inet mystnode_ks`, which replaces itself in one
 * transaction, and the routes. To be applied before anything else, and again when the tunnel goes. What may leave by a device that is
 * neither loopback nor the tunnel is judged twice: in `output`, where it can be refused so that programs need not wait, and in
 * postrouting, where the device is the one that it will really leave by (a dnat in the output hook changes the route, and `oifname`
 * still names the old device there). The latter stands a second time in a table that only we may change.
 * @throws BAD_VALUE for a fact that is not what it should be
 */
export function killSwitchPlan(facts: KillSwitchFacts, given: Standing): HostPlan {
  const standing = withIPv6(facts.ipv6, narrowed(given));
  const tun = checkIfname(facts.ifname);
  const { state, tunnel, first } = standing;
  const six = tunnel?.address6;
  const control = verdict("control", state) === "passes" ? controlEndpoints(facts.control) : [];
  const through = verdict("through", state) === "in the first tunnel" ? controlEndpoints(facts.control, true) : [];
  const beside = exceptionsOf(facts.options ?? closed);
  const leaving = leavingChains(tun, { ...facts, control, through }, standing, beside);
  const lines = [
    ...leaving,
    ...chain("arrive", "type filter hook prerouting priority mangle; policy accept;", [
      ...restored(first),
      // the reverse path of what comes unasked is looked up as that of an answer would be
      ...unasked(standing).map((rule) => `${rule} meta mark set ${mark}`),
      ...antispoof(tun, standing),
    ]),
    ...chain("input", "type filter hook input priority filter; policy drop;", [
      ...unasked(standing).map((rule) => `${rule} ct mark set ${mark} accept`),
      ...inputRules(tun, standing, beside),
    ]),
    ...(tunnel ? chain("from_tunnel", "", fromTunnel(six)) : []),
    ...(first ? chain("from_first", "", fromFirst(first, standing)) : []),
    ...chain("forward", "type filter hook forward priority filter; policy drop;", [
      ...(verdict("forwarded", state) === "in the tunnel" ? forwardRules(tun) : []),
      ...forwardedBeside(tun, beside),
    ]),
    ...chain("output", "type filter hook output priority filter; policy drop;", [
      ...(verdict("internet", state) === "in the tunnel" ? [`oifname "${tun}" meta nfproto ipv4 accept`] : []),
      ...(six !== undefined && verdict("ipv6Given", state) === "in the tunnel"
        ? // names are looked up by IPv4, where the question is led to the tunnel's resolver
          [
            `oifname "${tun}" meta nfproto ipv6 meta l4proto { tcp, udp } th dport != 53 accept`,
            `oifname "${tun}" meta nfproto ipv6 meta l4proto ipv6-icmp accept`,
          ]
        : []),
      // what bears the mark is the tunnel's own, and judged by where it goes when it leaves
      ...(first || verdict("exit", state) === "passes" ? [`meta mark ${mark} accept`] : []),
      ...(first ? [`oifname "${checkIfname(first.ifname)}" accept`] : []),
      'oifname "lo" accept',
      ...(tunnel && verdict("dns", state) === "to the tunnel's resolver"
        ? [`ip daddr ${beside.dns ?? checkIPv4(tunnel.dns)} ct status dnat accept`]
        : []),
      "jump may_leave",
      "meta l4proto tcp reject with tcp reset",
      "reject with icmpx type admin-prohibited",
    ]),
    ...(tunnel ? natChains(tun, tunnel, first, beside) : []),
  ];
  return {
    kind: "client",
    ifname: tun,
    ...(first && { first: checkIfname(first.ifname) }),
    table: killSwitchTable,
    nft: replaceTable(killSwitchTable, lines.join("\n")),
    hold: { table: holdTable, body: leaving.join("\n") },
    steps: [
      ...controlSteps({ uid: facts.uid, control }),
      ...splitSteps(beside.split),
      ...(first || through.length > 0 ? throughSteps({ uid: facts.uid, through }) : []),
      ...(first ? firstSteps({ ...first, alone: !tunnel }) : []),
      ...(first && !tunnel ? [ownStep] : []),
      ...(tunnel
        ? tunnelSteps({
            ...tunnel,
            ifname: tun,
            mtu: checkMtu(tunnel.mtu),
            pathMtu: checkMtu(tunnel.pathMtu),
            ipv6: facts.ipv6,
            ...(beside.dns && { resolver: beside.dns }),
          })
        : blockingSteps(facts.ipv6)),
    ],
    // the reverse path of what comes to the mark's own connections is looked up with the mark
    sysctls: [{ key: "net/ipv4/conf/all/src_valid_mark", value: "1" }, ...blackHoles],
    accepts: [],
  };
}

/** What may leave, by the device that it really leaves by. */
function leavingChains(
  tun: string,
  { uid, control, through }: KillSwitchFacts & { through: Endpoint[] },
  { state, tunnel, first }: Standing,
  beside: Exceptions,
): string[] {
  // with two hops only the first tunnel's own packets are for the wire
  const outer = first && verdict("first", state) === "passes" ? first : verdict("exit", state) === "passes" ? tunnel : undefined;
  return [
    ...endpointSet("control", control),
    ...(first ? endpointSet("through", through) : []),
    ...(tunnel
      ? chain("into_tunnel", "", [
          `ip saddr ${checkIPv4(tunnel.address)} accept`,
          ...(tunnel.address6 === undefined ? [] : [`ip6 saddr ${tunnel.address6} accept`]),
          "drop",
        ])
      : []),
    ...(first ? chain("into_first", "", intoFirst(uid, first, { tunnel })) : []),
    ...chain("may_leave", "", [
      "meta l4proto { tcp, udp } th dport { 53, 853 } return",
      `meta skuid ${checkUid(uid)} ip daddr . meta l4proto . th dport @control ${smallSegments}`,
      `meta skuid ${checkUid(uid)} ip daddr . meta l4proto . th dport @control ct mark set ${mark} accept`,
      // the last packets of a connection whose socket has been closed belong to no user any more
      `ip daddr . meta l4proto . th dport @control ct mark ${mark} ct state established accept`,
      "udp sport 68 udp dport 67 accept",
      `icmpv6 type ${ndp} ip6 hoplimit 255 accept`,
      ...(beside.lan ? [`ip daddr ${lan4} accept`, `ip6 daddr ${lan6} accept`] : []),
      ...beside.split.map((network) => `ip daddr ${network} accept`),
    ]),
    ...chain("leave", "type filter hook postrouting priority 300; policy drop;", [
      ...(tunnel ? [`oifname "${tun}" goto into_tunnel`] : []),
      ...(first ? [`oifname "${checkIfname(first.ifname)}" goto into_first`] : []),
      ...(outer ? ownPackets(outer).map((rule) => `${rule} ct mark set ${mark} accept`) : []),
      'oifname "lo" accept',
      // answers out of the tunnel to a container, whose source address is ours in the tunnel; `forward` has let them in
      ...(tunnel ? ["ct direction reply ct status snat accept"] : []),
      "jump may_leave",
    ]),
  ];
}

const leastMtu6 = 1280;
const mark = `0x${clientMark.toString(16)}`;

/**
 * What opens a connection of the control plane asks for segments that every way takes (RFC 9293 3.7.1), in both directions: where larger ones are lost
 * without a word a peer must not first find that out, which takes TCP 3 s and more. The kernel only ever lowers this option.
 */
const smallSegments = "tcp flags & (syn | rst) == syn tcp option maxseg size set 536";
const ndp = "{ nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert }";

/** Only while a way is looked for does more pass than the exit's own port. */
const narrowed = (standing: Standing): Standing =>
  standing.tunnel === undefined || verdict("punching", standing.state) === "passes"
    ? standing
    : { ...standing, tunnel: { ...standing.tunnel, punching: undefined } };

/** An IPv6 address that the exit has given is in use only where all that goes there may be as large as IPv6 needs it (RFC 8200). */
function withIPv6(hasIPv6: boolean, standing: Standing): Standing {
  if (standing.tunnel === undefined) return standing;
  const { address6, ...tunnel } = standing.tunnel;
  const fits = hasIPv6 && address6 !== undefined && Math.min(tunnel.mtu, tunnel.pathMtu) >= leastMtu6;
  return { ...standing, tunnel: { ...tunnel, ...(fits && { address6: checkUla(address6) }) } };
}

/** What may come in unasked: the exit's first packet. */
const unasked = ({ tunnel }: Standing): string[] =>
  tunnel?.punching === undefined
    ? []
    : [`iifname != "lo" ip saddr ${checkIPv4(tunnel.exit.address)} udp dport ${checkPort(tunnel.punching)}`];

function endpointSet(name: string, endpoints: Endpoint[]): string[] {
  const elements = endpoints.map(({ address, protocol, port }) => `${address} . ${protocol} . ${port}`);
  return [
    `  set ${name} {`,
    "    type ipv4_addr . inet_proto . inet_service",
    ...(elements.length > 0 ? [`    elements = { ${elements.join(", ")} }`] : []),
    "  }",
  ];
}

/** What comes in answer to what may leave. */
const inputRules = (tun: string, { tunnel, first }: Standing, { lan, split }: Exceptions): string[] => [
  `ct mark ${mark} iifname != "${tun}" ${smallSegments}`,
  // related: ICMP about these connections, of which "fragmentation needed" is one
  `ct mark ${mark} iifname != "${tun}" ct state established,related accept`,
  ...(tunnel ? [`iifname "${tun}" goto from_tunnel`] : []),
  ...(first ? [`iifname "${checkIfname(first.ifname)}" goto from_first`] : []),
  'iifname "lo" accept',
  "udp sport 67 udp dport 68 accept",
  `icmpv6 type ${ndp} ip6 hoplimit 255 accept`,
  ...(lan ? [`ip saddr ${lan4} accept`, `ip6 saddr ${lan6} accept`] : []),
  ...split.map((network) => `ip saddr ${network} ct state established,related accept`),
];

/** From the tunnel too only answers come in, since an exit is a stranger, and none to what goes outside of it. */
const fromTunnel = (six: string | undefined): string[] => [
  `ct mark != ${mark} meta nfproto ipv4 ct state established,related accept`,
  ...(six === undefined ? [] : [`ct mark != ${mark} meta nfproto ipv6 ct state established,related accept`]),
  "drop",
];

/** Containers and virtual machines use the tunnel, or nothing. */
const forwardRules = (tun: string): string[] => [
  `oifname "${tun}" meta nfproto ipv4 accept`,
  `iifname "${tun}" ct state established,related accept`,
];

/** What may leave beside the tunnel may do so for them, too. */
const forwardedBeside = (tun: string, { lan, split }: Exceptions): string[] => {
  const rules = [
    ...(lan ? [`ip saddr ${lan4} ip daddr ${lan4} accept`, `ip6 saddr ${lan6} ip6 daddr ${lan6} accept`] : []),
    ...split.flatMap((network) => [`ip daddr ${network} accept`, `ip saddr ${network} ct state established,related accept`]),
  ];
  return rules.map((rule) => `iifname != "${tun}" oifname != "${tun}" ${rule}`);
};

const natChains = (tun: string, tunnel: TunnelFacts, first: FirstTunnel | undefined, beside: Exceptions): string[] => [
  ...chain("redirect_dns", "type nat hook output priority -100; policy accept;", [
    'oifname "lo" return',
    ...ownPackets(tunnel, first && throughMark).map((rule) => `${rule} return`),
    ...(first ? ownPackets(first).map((rule) => `${rule} return`) : []),
    // who asks the exit itself means it
    ...(beside.dns ? [`ip daddr ${tunnel.dns} return`] : []),
    `meta nfproto ipv4 meta l4proto { tcp, udp } th dport 53 dnat ip to ${beside.dns ?? tunnel.dns}`,
  ]),
  // what has chosen its source address for another device
  ...chain("own_source", "type nat hook postrouting priority srcnat; policy accept;", [
    `oifname "${tun}" ip saddr != ${tunnel.address} snat ip to ${tunnel.address}`,
    ...(tunnel.address6 === undefined ? [] : [`oifname "${tun}" ip6 saddr != ${tunnel.address6} snat ip6 to ${tunnel.address6}`]),
  ]),
];

const chain = (name: string, head: string, rules: string[]): string[] => [
  `  chain ${name} {`,
  ...(head ? [`    ${head}`] : []),
  ...rules.map((rule) => `    ${rule}`),
  "  }",
];
