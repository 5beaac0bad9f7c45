import { pathPort } from "../types.ts";
import { checkIfname, checkIPv4, checkPort, checkUid } from "./check.ts";
import { clientMark, throughMark } from "./routes.ts";
import type { FirstTunnel, Standing, TunnelFacts } from "./standing.ts";

const hex = (mark: number): string => `0x${mark.toString(16)}`;

/** WireGuard's own packets, by the mark of the tunnel that they are of, and where they go. */
export const ownPackets = ({ exit, also = [], punching }: TunnelFacts, mark = clientMark): string[] => [
  ...[exit, ...also].map(({ address, port }) => `meta mark ${hex(mark)} ip daddr ${checkIPv4(address)} udp dport ${checkPort(port)}`),
  ...(punching === undefined ? [] : [`meta mark ${hex(mark)} ip daddr ${checkIPv4(exit.address)} udp sport ${checkPort(punching)}`]),
];

/**
 * What goes into the first of two tunnels: the second one's own packets, the node's connections to the second exit (in the set `through`),
 * and, before there is a second one, what the node sends to see which packets pass. Whatever else is led there is dropped: the first exit is a way to
 * the second and to nothing else.
 * @throws BAD_VALUE for a fact that is not what it should be
 */
export function intoFirst(uid: number, first: FirstTunnel, { tunnel }: Pick<Standing, "tunnel">): string[] {
  const node = `meta skuid ${checkUid(uid)}`;
  const through = "ip daddr . meta l4proto . th dport @through";
  return [
    `ip saddr != ${checkIPv4(first.address)} drop`,
    ...(tunnel
      ? ownPackets(tunnel, throughMark).map((rule) => `${rule} ct mark set ${hex(throughMark)} accept`)
      : [`${node} ip daddr ${checkIPv4(first.dns)} udp dport ${pathPort} accept`]),
    `${node} ${through} ct mark set ${hex(throughMark)} accept`,
    `${through} ct mark ${hex(throughMark)} ct state established accept`,
    "drop",
  ];
}

/** Only answers come in from the first exit, to what goes into its tunnel. */
export const fromFirst = (first: FirstTunnel, { tunnel }: Pick<Standing, "tunnel">): string[] => [
  `ct mark ${hex(throughMark)} meta nfproto ipv4 ct state established,related accept`,
  ...(tunnel ? [] : [`ip saddr ${checkIPv4(first.dns)} udp sport ${pathPort} ct state established accept`]),
  "drop",
];

/** The marks that what comes in answer is looked up with, on the reverse path. */
export const restored = (first: FirstTunnel | undefined): string[] =>
  [clientMark, ...(first ? [throughMark] : [])].map((mark) => `ct mark ${hex(mark)} meta mark set ${hex(mark)}`);

/** Who is on the same network must not learn our addresses in the tunnels by asking for them (CVE-2019-14899). Both exits may give the same. */
export function antispoof(tun: string, { tunnel, first }: Pick<Standing, "tunnel" | "first">): string[] {
  const both = [...(tunnel ? [{ ifname: tun, address: tunnel.address }] : []), ...(first ? [first] : [])];
  const six = tunnel?.address6 === undefined ? [] : [`ip6 daddr ${tunnel.address6} iifname != { "${checkIfname(tun)}", "lo" } drop`];
  const four = [...new Set(both.map(({ address }) => checkIPv4(address)))].map((address) => {
    const names = both.filter((one) => one.address === address).map(({ ifname }) => `"${checkIfname(ifname)}"`);
    return `ip daddr ${address} iifname != { ${[...names, '"lo"'].join(", ")} } drop`;
  });
  return [...four, ...six];
}
