import { larger } from "../lib/bigint.ts";
import { networkOf } from "../network/diversity.ts";
import { allBps } from "../payments/check.ts";
import { maxWatchers } from "./protocol.ts";

/** A peer that offers to watch. */
export type WatchOffer = { peer: string; addresses: string[]; feeBps: number };

export type Slots = readonly (string | undefined)[];
export const noSlots: Slots = Array.from({ length: maxWatchers }, () => undefined);

/**
 * Fills the empty places among a provider's watchers, at random, each in a network of its own while there is one: the cheapest, or the
 * first to answer, could all be one party that keeps checks and never clears them. Who has a place keeps it.
 * @param random from 0 up to 1
 */
export function fillSlots(slots: Slots, offers: readonly WatchOffer[], random: () => number): Slots {
  if (!slots.includes(undefined)) return slots;
  const networks = new Map(
    offers.map(({ peer, addresses }) => [peer, addresses.map(networkOf).filter((network) => network !== undefined)]),
  );
  const networksOf = (peer: string | undefined): string[] => (peer !== undefined && networks.get(peer)) || [];
  const filled = [...slots];
  for (const [place, peer] of slots.entries()) {
    if (peer !== undefined) continue;
    const free = offers.filter((offer) => !filled.includes(offer.peer));
    const taken = new Set(filled.flatMap(networksOf));
    const apart = free.filter((offer) => !networksOf(offer.peer).some((network) => taken.has(network)));
    // by network first: many peers in one are no more likely to be chosen than one
    const groups = [...Map.groupBy(apart.length > 0 ? apart : free, ({ peer }) => networksOf(peer)[0] ?? peer).values()];
    const group = groups[Math.floor(random() * groups.length)] ?? [];
    filled[place] = group[Math.floor(random() * group.length)]?.peer;
  }
  return filled;
}

export type Handable = {
  cumulative: bigint;
  paid: bigint;
  /** what this watcher has said that it keeps, and until when that is good */
  kept: bigint;
  keptUntilMs: number;
};

/**
 * Whether a channel's newest promise is to be handed to a watcher: once what it does not watch yet would earn it, by its fee, the gas of a
 * transaction; and again when half the life of its check is over.
 * @param gas what clearing one claim by its check costs
 */
export function isDue(
  { cumulative, paid, kept, keptUntilMs }: Handable,
  { feeBps, gas, nowMs, lifeMs }: { feeBps: number; gas: bigint; nowMs: number; lifeMs: number },
): boolean {
  const worth = feeBps === 0 ? 0n : (gas * allBps) / BigInt(feeBps);
  const isWorth = (amount: bigint) => amount > 0n && amount >= worth;
  const watched = keptUntilMs > nowMs ? kept : 0n;
  if (isWorth(cumulative - larger(paid, watched))) return true;
  return isWorth(cumulative - paid) && keptUntilMs - nowMs < lifeMs / 2;
}
