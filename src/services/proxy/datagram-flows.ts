import type { Clock } from "../../lib/clock.ts";

/**
 * Whom an association has sent to of late. Only they are answered for: else whoever finds the exit's port could send through it, and
 * one client could be used to send to another.
 */
export type Flows = {
  /** A datagram goes there now; false when it may not, since that would be too many new ones at once. */
  open(peer: string): boolean;
  /** Has anything been sent there of late? */
  has(peer: string): boolean;
};

/** RFC 4787 wants two minutes at least */
const flowMs = 180_000;
const maxFlows = 256;

/** `allowNew` is asked before a peer is taken in that is not in the table. */
export function createFlows(clock: Pick<Clock, "nowMs">, allowNew: () => boolean): Flows {
  const lastMs = new Map<string, number>();
  const has = (peer: string) => clock.nowMs() - (lastMs.get(peer) ?? Number.NEGATIVE_INFINITY) < flowMs;
  return {
    has,
    open: (peer) => {
      if (!has(peer) && !allowNew()) return false;
      // taken out and put back, so that the one used longest ago comes first
      lastMs.delete(peer);
      lastMs.set(peer, clock.nowMs());
      const [oldest] = lastMs.keys();
      if (lastMs.size > maxFlows && oldest !== undefined) lastMs.delete(oldest);
      return true;
    },
  };
}
