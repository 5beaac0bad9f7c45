import { type Member, toEvict } from "../lib/sample.ts";
import { networkOf } from "./diversity.ts";

/** A connection as far as it matters for whether it stays when there are too many. */
export type Connected = {
  peer: string;
  address: string;
  direction: "inbound" | "outbound" /** there is a session on it */;
  inUse: boolean;
};

/** Connections that a peer holds. libp2p's own limit turns newcomers away and lies above it: who came first would stay for ever. */
export const mostConnections = 300;
export const hardLimit = 400;

/**
 * Whom to hang up on when there are more than `most`: of those that others have opened and nobody uses, those not known to have a bond first; of
 * these from the /24 or /48 that has most here; in an order that nobody can choose a place in. So room cannot be taken by coming first, or in masses.
 * @param worth more for those known to have a bond
 */
export function tooMany(
  connections: Connected[],
  worth: (peer: string) => number,
  orderOf: (peer: string) => number,
  most = mostConnections,
): string[] {
  const excess = connections.length - most;
  if (excess <= 0) return [];
  const members = connections
    .filter(({ direction, inUse }) => direction === "inbound" && !inUse)
    .map(({ peer, address }): Member => ({ key: peer, group: networkOf(address) ?? peer, weight: worth(peer), order: orderOf(peer) }));
  return toEvict(members, excess).map(({ key }) => key);
}
