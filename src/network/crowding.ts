import { type Member, toEvict } from "../lib/sample.ts";
import { networkOf } from "./diversity.ts";

/** A connection as far as it matters for whether it stays when there are too many. */
export type Connected = {
  peer: string;
  address: string;
  direction: "inbound" | "outbound";
  /** there is a session on it */
  inUse: boolean;
  ageMs: number;
};

/** Connections that a peer holds. libp2p's own limit turns newcomers away and lies above it: who came first would stay for ever. */
export const mostConnections = 300;
export const hardLimit = 400;
/**
 * Whoever comes may ask what it came for: a newcomer hung up on at once by each of few, full bootstrap peers never hears of anybody else. Then room is
 * made: who lingered until somebody else comes would take it for a place, and dial again at once when that is gone.
 */
export const newcomerMs = 5_000;
const mostNewcomers = 50;

/**
 * Whom to hang up on when there are more than `most`: of those that others have opened and nobody uses, those not known to have a bond first; of
 * these from the /24 or /48 that has most here; in an order that nobody can choose a place in. So room cannot be taken by coming first, or in masses.
 * Up to 50 that have just come stay and do not count, by the same order where there are more of them.
 * @param worth more for those known to have a bond
 */
export function tooMany(
  connections: Connected[],
  worth: (peer: string) => number,
  orderOf: (peer: string) => number,
  most = mostConnections,
): string[] {
  if (connections.length <= most) return [];
  const members = connections
    .filter(({ direction, inUse }) => direction === "inbound" && !inUse)
    .map(({ peer, address, ageMs }) => ({
      key: peer,
      group: networkOf(address) ?? peer,
      weight: worth(peer),
      order: orderOf(peer),
      ageMs,
    }));
  const newcomers = members.filter(({ ageMs }) => ageMs < newcomerMs);
  const spared = new Set<Member>(newcomers);
  for (const one of toEvict(newcomers, newcomers.length - mostNewcomers)) spared.delete(one);
  const others = members.filter((one) => !spared.has(one));
  return toEvict(others, connections.length - spared.size - most).map(({ key }) => key);
}
