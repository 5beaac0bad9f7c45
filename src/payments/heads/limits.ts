import { larger } from "../../lib/bigint.ts";

/**
 * How far an exit gives credit for what other exits have not seen yet. However many take the same money for free at once, what none of
 * them can know of stays a part of the bond: an eighth while their first heads are under way, then a sixteenth of 1 + 1/4 + 1/9 + ... = 0.103.
 */

/** Gossip has reached everybody within this: what a head tells counts as seen. */
export const seenAfterMs = 2_000;
/** The same for a payer whose deposit has been known for less than `settledInMs`: others may have to look for it on the chain first. */
export const seenAfterNewMs = 5_000;
export const settledInMs = 60_000;
/** A channel of which nothing new was told for so long begins anew: others may have stopped counting it. */
export const idleAfterMs = 60_000;
/** What is owed is told at least this often, so that a channel in use does not count as idle. */
export const tellEveryMs = 50_000;
/** And so long after the last time at the earliest. */
export const tellSpacingMs = 1_000;
/** A channel counts for so long after its last head. */
export const channelCountsMs = 600_000;
/** A promise that was signed longer ago than this begins anew, too: its head may count for nobody. */
export const signedWithinMs = 600_000;

/** What all channels of one payer with one exit, of which others have not heard lately, may owe it together unseen: bond / (8 N). @param exits N, those that may do the same */
export const newcomerLimit = (bond: bigint, exits: number): bigint => bond / (8n * BigInt(Math.max(1, exits)));

/** What one channel may owe beyond its own newest head that is seen: bond / (16 k^2). @param channels k, this payer's that have told of anything lately */
export const growthLimit = (bond: bigint, channels: number): bigint => bond / (16n * BigInt(Math.max(1, channels)) ** 2n);

/** One head of a channel of our own, as far as it has been told. */
export type Told = { cumulative: bigint; atMs: number };

/** The newest head that others have seen by now. */
export function seenOf(told: readonly Told[], nowMs: number, afterMs: number): Told | undefined {
  return told.findLast(({ atMs }) => nowMs - atMs >= afterMs);
}

/** What was told, once this is told, too: the newest that is seen, and what is on its way. */
export function telling(told: readonly Told[], one: Told, nowMs: number, afterMs: number): Told[] {
  const seen = seenOf(told, nowMs, afterMs);
  return [...told.filter((each) => each === seen || nowMs - each.atMs < afterMs), one];
}

/**
 * Whether to tell of a channel now: the first time and after a rest at once; then as soon as a quarter of what it may grow by has been
 * added, so that what is on its way leaves room for more; and at least each minute.
 * @param unseen what was promised beyond the newest that was told
 */
export function isToTell(told: readonly Told[], cumulative: bigint, growth: bigint, nowMs: number): boolean {
  const last = told.at(-1);
  if (!last) return true;
  const restMs = nowMs - last.atMs;
  const more = larger(0n, cumulative - last.cumulative);
  if (more === 0n || restMs < tellSpacingMs) return false;
  return restMs >= tellEveryMs || more >= growth / 4n;
}
