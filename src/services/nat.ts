/** Where a socket is seen from outside: an IPv4 address and a UDP port. */
export type Place = { address: string; port: number };

/**
 * What stands between a UDP socket and the internet, as two peers see it who are asked from that one socket. `none`: it is seen where it
 * is; `cone`: both see it at one place, so others would, too; `symmetric`: each sees it elsewhere, so nobody knows where the next would;
 * `unknown`: fewer than two have seen it.
 */
export type Nat = "none" | "cone" | "symmetric" | "unknown";
export const nats: readonly Nat[] = ["none", "cone", "symmetric", "unknown"];

/**
 * Of the kinds of RFC 4787 this tells how addresses are mapped. How packets are filtered (full, restricted, port-restricted) cannot be seen
 * by those that we send to ourselves; it decides only whether a cone meets a symmetric one, which is found out by trying.
 * @param own addresses of this machine, and the port that the socket is bound to
 */
export function natOf(seen: readonly Place[], own: { addresses: readonly string[]; port: number }): Nat {
  const [first, ...others] = seen;
  if (first === undefined) return "unknown";
  if (others.some((other) => !isSame(first, other))) return "symmetric";
  if (first.port === own.port && own.addresses.includes(first.address)) return "none";
  return others.length > 0 ? "cone" : "unknown";
}

export const isSame = (a: Place, b: Place): boolean => a.address === b.address && a.port === b.port;

/** `direct`: one of them is where it is seen; `punch`: both send to where the other is seen, and it may go; `relay`: it cannot. */
export type Way = "direct" | "punch" | "relay";

/** How two sockets reach each other. Symmetric: of two that are seen elsewhere by each peer, neither knows where to send. */
export function wayBetween(one: Nat, other: Nat): Way {
  if (one === "none" || other === "none") return "direct";
  return one === "symmetric" && other === "symmetric" ? "relay" : "punch";
}
