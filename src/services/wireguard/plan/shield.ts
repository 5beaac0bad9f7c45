/**
 * What leaves a client's host, as data: for each state of the tunnel and each kind of packet one verdict. `killSwitchPlan` makes the
 * firewall of it, docs/security.md shows it, and tests are named after its rows.
 */
export type ShieldState =
  /** nobody looks after the kill switch: before the node is up, and when it has gone */
  | "down"
  /** the node looks for an exit and agrees on terms */
  | "securing"
  /** the tunnel is there, the exit has not answered yet */
  | "handshaking"
  | "up"
  /** the tunnel is lost */
  | "blocked";
export const shieldStates: readonly ShieldState[] = ["down", "securing", "handshaking", "up", "blocked"];

/** `refused`: its sender is told at once; `no`: dropped without a word. */
export type Verdict = "passes" | "in the tunnel" | "in the first tunnel" | "to the tunnel's resolver" | "refused" | "no";
type Row = { packet: string; verdicts: Record<ShieldState, Verdict> };

const always = (verdict: Verdict): Row["verdicts"] => ({
  ...{ down: verdict, securing: verdict, handshaking: verdict, up: verdict, blocked: verdict },
});
const withTunnel = (verdict: Verdict, without: Verdict): Row["verdicts"] => ({
  ...always(without),
  ...{ handshaking: verdict, up: verdict },
});

export const shield = {
  loopback: { packet: "loopback", verdicts: always("passes") },
  exit: {
    packet: "the tunnel's own packets (its mark) to the exit's address and port, UDP",
    verdicts: withTunnel("passes", "no"),
  },
  punching: {
    packet: "the same from and to any port of the exit's address, while a way to one behind NAT is looked for, at most 5 s",
    verdicts: { ...always("no"), handshaking: "passes" },
  },
  control: {
    packet: "the node's user to the peers and RPC in use: address, port and protocol",
    verdicts: { ...always("passes"), down: "no" },
  },
  others: {
    packet: "the same from any other user, or that user to anything else",
    verdicts: withTunnel("in the tunnel", "refused"),
  },
  first: {
    packet: "with `--hops 2`: the first tunnel's own packets (its mark) to the first exit, while that tunnel is there",
    verdicts: { ...always("passes"), down: "no" },
  },
  second: {
    packet: "with `--hops 2`: the second tunnel's own packets (its mark) to the second exit",
    verdicts: withTunnel("in the first tunnel", "no"),
  },
  through: {
    packet: "with `--hops 2`: the node's user to the second exit's address and port, TCP",
    verdicts: { ...always("in the first tunnel"), down: "refused" },
  },
  dns: { packet: "DNS, port 53 by UDP and TCP, wherever it is asked", verdicts: withTunnel("to the tunnel's resolver", "refused") },
  dot: { packet: "DNS over TLS, port 853", verdicts: withTunnel("in the tunnel", "refused") },
  internet: { packet: "any other IPv4 to the internet: TCP, UDP, ICMP", verdicts: withTunnel("in the tunnel", "refused") },
  lan: { packet: "the local network", verdicts: always("refused") },
  lanAllowed: { packet: "the local network with `--allow-lan`, but DNS; both ways", verdicts: always("passes") },
  split: { packet: "networks named by `--split`, but DNS", verdicts: always("passes") },
  ipv6: { packet: "IPv6, where the exit gives no address for it, or the way to it takes no 1,280 bytes", verdicts: always("refused") },
  ipv6Given: {
    packet: "IPv6 to the internet, but port 53, from the address that an exit with `--ipv6` gives",
    verdicts: withTunnel("in the tunnel", "refused"),
  },
  basics: { packet: "DHCP (68 to 67), neighbour discovery", verdicts: always("passes") },
  forwarded: { packet: "forwarded for containers and virtual machines", verdicts: withTunnel("in the tunnel", "no") },
  unasked: { packet: "coming in, unless in answer, by cable or tunnel", verdicts: always("no") },
  spoofed: { packet: "coming in by another device to the tunnel's address (CVE-2019-14899)", verdicts: always("no") },
} as const satisfies Record<string, Row>;
export type ShieldRow = keyof typeof shield;

export const verdict = (row: ShieldRow, state: ShieldState): Verdict => shield[row].verdicts[state];
