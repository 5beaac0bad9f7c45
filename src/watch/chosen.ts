import type { Clock } from "../lib/clock.ts";
import { fillSlots, noSlots, type Slots, type WatchOffer } from "./handing-policy.ts";

const minuteMs = 60_000;
/** A watcher whose offer is not heard any more for so long loses its place. */
const absentMs = 60 * minuteMs;
/** After so many failures in a row it loses it, too, for a while. */
export const mostFailures = 4;
const banMs = 12 * 60 * minuteMs;
const longestRetryMs = 60 * minuteMs;

/** A provider's watchers: who has a place, and who is to be left alone for now. In memory. */
export type Chosen = {
  /** Chooses anew where a place is empty. @returns by place, who may be asked now */
  choose(offers: readonly WatchOffer[]): (WatchOffer | undefined)[];
  isFull(): boolean;
  /** It has not answered, or takes nothing. @returns how often in a row */
  failed(peer: string): number;
  worked(peer: string): void;
};

/** @param keepers who watches already, from an earlier run; they keep their places while they are heard of */
export function createChosen(keepers: readonly string[], clock: Pick<Clock, "nowMs">, random: () => number): Chosen {
  const seenMs = new Map<string, number>();
  const troubles = new Map<string, { failures: number; untilMs: number }>();
  let slots: Slots = noSlots.map((_, place) => keepers[place]);
  for (const peer of slots) if (peer !== undefined) seenMs.set(peer, clock.nowMs());

  const rests = (peer: string, leastFailures = 1) => {
    const trouble = troubles.get(peer);
    return trouble !== undefined && trouble.failures >= leastFailures && trouble.untilMs > clock.nowMs();
  };
  return {
    choose: (offers) => {
      const nowMs = clock.nowMs();
      const usable = offers.filter(({ peer }) => !rests(peer, mostFailures));
      for (const { peer } of usable) seenMs.set(peer, nowMs);
      for (const [peer, ms] of seenMs) if (nowMs - ms > absentMs) seenMs.delete(peer);
      const staying = slots.map((peer) => (peer !== undefined && seenMs.has(peer) && !rests(peer, mostFailures) ? peer : undefined));
      slots = fillSlots(staying, usable, random);
      return slots.map((peer) => (peer !== undefined && rests(peer) ? undefined : usable.find((offer) => offer.peer === peer)));
    },
    isFull: () => !slots.includes(undefined),
    failed: (peer) => {
      const failures = (troubles.get(peer)?.failures ?? 0) + 1;
      const waitMs = failures >= mostFailures ? banMs : Math.min(longestRetryMs, minuteMs * 2 ** (failures - 1));
      troubles.set(peer, { failures, untilMs: clock.nowMs() + waitMs });
      return failures;
    },
    worked: (peer) => void troubles.delete(peer),
  };
}
