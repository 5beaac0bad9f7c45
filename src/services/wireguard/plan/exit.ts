import { createHash } from "node:crypto";
import { MystError } from "../../../lib/errors.ts";
import { mailPorts, type Policy, type Rule } from "../../policy.ts";
import { checkIfname, checkIPv4, checkMtu, checkNumber, checkPort } from "./check.ts";
import { creditDefinitions, creditRules } from "./credit.ts";
import { flowDefinitions, flowLimitMax, opening } from "./flows.ts";
import { type Accept, blackHoles, exitTable, type HostPlan, type IpStep, replaceTable, ruleComment } from "./host-plan.ts";
import { type Pool, poolOf } from "./pool.ts";
import { type Pool6, pool6Of } from "./pool6.ts";
import { elements, type Range, ruleRange, specialRanges, toNumber } from "./ranges.ts";
import { elements6, isatap, type Range6, range6Of, ruleRange6, ruleThroughNat64, specialRanges6, throughNat64 } from "./ranges6.ts";
import { type SpeedLimits, shapingOf, uplinkSteps } from "./shaping.ts";

export type ExitFacts = {
  ifname: string;
  /** the clients' network, see `poolOf`; its first address is the gateway */
  pool: string;
  mtu: number;
  /** the interface that clients' traffic leaves by */
  egressIf: string;
  /** source address of clients' traffic; absent: as the kernel chooses */
  egressAddress?: string;
  /** UDP and TCP port of the gateway address on which the DNS forwarder listens */
  dnsPort: number;
  /** UDP port of the gateway address where clients see which packets pass */
  pathPort: number;
  /** the host's own addresses */
  own: string[];
  /** absent: clients have no IPv6 */
  ipv6?: Exit6;
  /** absent: any speed */
  speed?: SpeedLimits;
  /** connections that a client may open each second; absent: any number */
  flowLimit?: number;
} & Omit<Policy, "closedPorts"> &
  Partial<Pick<Policy, "closedPorts">>;

export type Exit6 = {
  /** of the clients' addresses, a /64: see `pool6Of` */
  prefix: string;
  /** that of the IPv6 default route */
  egressIf: string;
  /** IPv6 networks on its cables, "2001:db8:1::/64": who is in there counts on not being reached from outside */
  near: string[];
  /** Does the default route come by router advertisements? A host that forwards takes none, unless told to. */
  advertised: boolean;
};

const ports = (list: number[]): string => `{ ${list.map(checkPort).join(", ")} }`;

/**
 * The plan of an exit's host: forwarding on, the gateway's address on the tunnel, and table `inet mystnode`. Who sends from an address
 * that is not a client's is dropped, nobody passes without credit, clients reach neither each other nor this host (but DNS and echo
 * on the gateway) and beyond it what `judge` of policy.ts would let them reach, in the same order of precedence.
 * @throws BAD_VALUE for a fact that is not what it should be
 */
export function exitPlan(facts: ExitFacts): HostPlan {
  const tun = checkIfname(facts.ifname);
  const out = checkIfname(facts.egressIf);
  if (out === tun)
    throw new MystError("BAD_VALUE", `clients' traffic cannot leave by the tunnel itself (${tun})`, { hint: "name another interface" });
  const mtu = checkMtu(facts.mtu);
  const dns = checkPort(facts.dnsPort);
  const path = checkPort(facts.pathPort);
  const pool = poolOf(facts.pool);
  const source = facts.egressAddress === undefined ? undefined : checkIPv4(facts.egressAddress);
  const limit = facts.flowLimit === undefined ? undefined : checkNumber("flow limit", facts.flowLimit, 1, flowLimitMax);
  const counted = limit === undefined ? [] : [opening];
  const { ipv6: given } = facts;
  const six = given && { ...pool6Of(given.prefix, pool), out: checkIfname(given.egressIf) };
  const sides = six && six.out !== out ? [`meta nfproto ipv4 oifname`, `meta nfproto ipv6 oifname`] : ["oifname"];
  /** for the way out of each family, which mostly is one */
  const leaving = (is: "" | "!= ", then: string) => sides.map((side, i) => `${side} ${is}"${i === 0 ? out : six?.out}" ${then}`);
  const tableOf = (mark: string) => [
    ...creditDefinitions(pool, given?.prefix),
    ...flowDefinitions(limit, given !== undefined),
    ...chain("antispoof", "type filter hook prerouting priority raw; policy accept;", [
      `iifname "${tun}" goto from_client_raw`,
      `ip daddr ${pool.cidr} iifname != "lo" drop`,
      ...(six ? [`ip6 daddr ${six.cidr} iifname != "lo" drop`] : []),
    ]),
    ...chain("from_client_raw", "", [
      ...onlyClients("saddr", pool, six),
      `ip daddr ${pool.gateway} udp dport ${path} ${freely}`,
      ...creditRules("saddr", six !== undefined),
    ]),
    ...chain("input", "type filter hook input priority filter; policy accept;", [`iifname "${tun}" goto from_client_in`]),
    ...chain("from_client_in", "", [
      ...counted,
      `ip daddr ${pool.gateway} meta l4proto { tcp, udp } th dport ${dns} accept`,
      `ip daddr ${pool.gateway} udp dport ${path} accept`,
      `ip daddr ${pool.gateway} icmp type echo-request accept`,
      ...(six ? [`ip6 daddr ${six.gateway} icmpv6 type echo-request accept`] : []),
      "ct state invalid drop",
      `ip daddr != ${pool.gateway} jump destination`,
      ...(six ? [`ip6 daddr != ${six.gateway} jump destination`] : []),
      refusal,
    ]),
    ...chain("forward", "type filter hook forward priority filter; policy accept;", [
      `iifname "${tun}" goto from_client`,
      `oifname "${tun}" goto to_client`,
    ]),
    ...chain("from_client", "", [
      ...leaving("", `ct mark ${mark} ct state established accept`),
      "ct state invalid drop",
      // neither to another client, which would be out of the tunnel again
      ...leaving("!= ", refusal),
      ...clamp(mtu, six),
      ...counted,
      "jump destination",
      "goto pass",
    ]),
    ...chain("to_client", "", [`ct mark ${mark} goto charge`, ...clamp(mtu, six), "ct state established,related goto charge", "drop"]),
    ...chain("charge", "", [...onlyClients("daddr", pool, six), ...creditRules("daddr", six !== undefined)]),
    // accept ends the table's say, return lets the caller go on; both chains of its callers refuse or accept what is left
    ...chain("destination", "", policyRules(facts)),
    ...chain("pass", "", [`ct state established ct mark 0 ct mark set ${mark}`, "accept"]),
    ...chain("output", "type filter hook output priority filter; policy accept;", [`oifname "${tun}" goto host_to_client`]),
    ...chain("host_to_client", "", [
      "ct state new,invalid drop",
      `ip saddr ${pool.gateway} udp sport ${path} ip daddr ${pool.first}-${pool.last} ${freely}`,
      "goto charge",
    ]),
    ...chain("redirect_dns", "type nat hook prerouting priority dstnat; policy accept;", [
      `iifname "${tun}" ip daddr ${pool.gateway} meta l4proto { tcp, udp } th dport 53 redirect to :${dns}`,
    ]),
    ...chain("masquerade_clients", "type nat hook postrouting priority srcnat; policy accept;", [
      `oifname "${out}" ip saddr ${pool.cidr} ${source === undefined ? "masquerade" : `snat ip to ${source}`}`,
      ...(six ? [`oifname "${six.out}" ip6 saddr ${six.cidr} masquerade`] : []),
    ]),
  ];
  const lines = tableOf(markOf(tableOf("").join("\n")));
  const isLimited = facts.speed?.perClient !== undefined || facts.speed?.whole !== undefined;
  return {
    kind: "exit",
    ifname: tun,
    table: exitTable,
    nft: replaceTable(exitTable, lines.join("\n")),
    steps: [...(isLimited ? uplinkSteps(tun) : []), ...exitSteps(tun, pool, mtu, six)],
    ...(isLimited && { shaping: shapingOf(tun, pool, facts.speed ?? {}, given?.prefix) }),
    sysctls: [
      { key: "net/ipv4/ip_forward", value: "1" },
      // before forwarding is on: it would take away the default route
      ...(given?.advertised ? [{ key: `net/ipv6/conf/${six?.out}/accept_ra`, value: "2" }] : []),
      ...(given ? [{ key: "net/ipv6/conf/all/forwarding", value: "1" }] : []),
      ...blackHoles,
    ],
    accepts: [...exitAccepts(tun), ...(given ? exitAccepts(tun).map((accept) => ({ ...accept, family: 6 as const })) : [])],
  };
}

/**
 * What a connection of a client bears once this very table has let it pass in both directions, so that each further packet is judged by
 * one look and not by the whole policy. Another table, for other destinations, has another mark and judges anew. A connection that
 * somebody else has marked keeps that mark, and is judged packet by packet.
 */
const markOf = (table: string): string => `0x${createHash("sha256").update(table).digest("hex").slice(0, 7)}1`;

/**
 * Keeps segments to what fits through the tunnel; the kernel only ever lowers this option. What opens a connection comes before its mark.
 */
const clamp = (mtu: number, six: unknown): string[] => [
  `tcp flags & (syn | rst) == syn tcp option maxseg size set ${mtu - 40}`,
  // its header is longer by 20 bytes
  ...(six ? [`meta nfproto ipv6 tcp flags & (syn | rst) == syn tcp option maxseg size set ${mtu - 60}`] : []),
];

/**
 * Questions about the way, of all clients together: so many a second cost no credit. Where a way has become narrower nothing arrives that would make a
 * client buy more, and without credit it could not find out. What is beyond this is charged.
 */
const freely = "limit rate 100/second burst 100 packets accept";

/** Who sends or is sent to is a client, or nobody. */
const onlyClients = (field: "saddr" | "daddr", pool: Pool, six: Pool6 | undefined): string[] => [
  `ip ${field} != ${pool.first}-${pool.last} drop`,
  six ? `ip6 ${field} != ${six.first}-${six.last} drop` : "meta nfproto != ipv4 drop",
];

/** Tells the client at once, instead of leaving it to wait; the kernel limits how many it sends. */
const refusal = "reject with icmpx type admin-prohibited";

/** In the order of `judge`. Ports are those of TCP and UDP; other protocols meet the rules without a port. */
function policyRules({ allow, block, closedPorts = mailPorts, own, ipv6 }: ExitFacts): string[] {
  const addresses = own.filter((address) => !address.includes(":")).map((address) => toNumber(checkIPv4(address)));
  const own4 = addresses.map((address): Range => [address, address]);
  const own6 = own.filter((address) => address.includes(":")).map((address) => range6Of(address, 128));
  const near = (ipv6?.near ?? []).map((cidr) => range6Of(cidr.split("/")[0] ?? "", Number(cidr.split("/")[1] ?? 128)));
  return [
    ...matching(block, refusal, ipv6 && refused6),
    ...matching(
      allow.filter(({ port }) => port !== undefined),
      "goto pass",
      ipv6 && ruleRange6,
    ),
    ...(closedPorts.length > 0
      ? [`tcp dport ${ports(closedPorts)} reject with tcp reset`, `udp dport ${ports(closedPorts)} ${refusal}`]
      : []),
    ...matching(
      allow.filter(({ port }) => port === undefined),
      "goto pass",
      ipv6 && ruleRange6,
    ),
    ...within(own4, refusal),
    ...within(specialRanges, refusal),
    ...(ipv6
      ? [...within6([...own6, ...near, ...own4.map(throughNat64), ...specialRanges6(specialRanges)], refusal), `${isatap} ${refusal}`]
      : []),
  ];
}

/** What is refused of IPv4 is so behind a NAT64 gateway, too. */
const refused6 = (rule: Rule): Range6[] => [...ruleRange6(rule), ...ruleThroughNat64(rule)];

/** One rule of each family for all ranges that stand without a port, and one for each port. */
function matching(rules: Rule[], verdict: string, ranges6?: (rule: Rule) => Range6[]): string[] {
  const byPort = Map.groupBy(rules, ({ port }) => port);
  return [...byPort].flatMap(([port, group]) => {
    const rest = port === undefined ? verdict : `meta l4proto { tcp, udp } th dport ${checkPort(port)} ${verdict}`;
    return [...within(group.flatMap(ruleRange), rest), ...(ranges6 ? within6(group.flatMap(ranges6), rest) : [])];
  });
}

const within = (ranges: Range[], rest: string): string[] => (ranges.length === 0 ? [] : [`ip daddr { ${elements(ranges)} } ${rest}`]);
const within6 = (ranges: Range6[], rest: string): string[] => (ranges.length === 0 ? [] : [`ip6 daddr { ${elements6(ranges)} } ${rest}`]);

const chain = (name: string, head: string, rules: string[]): string[] => [
  `  chain ${name} {`,
  ...(head ? [`    ${head}`] : []),
  ...rules.map((rule) => `    ${rule}`),
  "  }",
];

const exitSteps = (tun: string, pool: Pool, mtu: number, six: Pool6 | undefined): IpStep[] => [
  { family: 4, add: `addr add ${pool.gateway}/${pool.bits} dev ${tun}`, del: `addr del ${pool.gateway}/${pool.bits} dev ${tun}` },
  { family: 4, add: `link set dev ${tun} mtu ${mtu} up`, del: `link set dev ${tun} down` },
  // one that is down loses it
  ...(six
    ? [{ family: 6 as const, add: `addr add ${six.gateway}/64 dev ${tun} nodad`, del: `addr del ${six.gateway}/64 dev ${tun}` }]
    : []),
];

/**
 * Docker and ufw drop what is forwarded unless a rule of their own chains accepts it; an accept in another table does not count there.
 * What may really pass is decided in our table, which drops whatever these chains say.
 */
const exitAccepts = (tun: string): Accept[] => [
  ...["DOCKER-USER", "FORWARD"].flatMap((chain) =>
    ["iifname", "oifname"].map((side) => ({ chain, rule: `${side} "${tun}" counter accept comment "${ruleComment}"` })),
  ),
  { chain: "INPUT", rule: `iifname "${tun}" counter accept comment "${ruleComment}"` },
];
