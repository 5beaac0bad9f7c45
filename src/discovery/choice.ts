import { larger, smaller } from "../lib/bigint.ts";
import type { KnownOffer, OfferQuery } from "./discovery.ts";
import { matches, priceOf } from "./rank.ts";

/** What is known of exits beside their offers; whoever calls knows from where. */
export type View = {
  /** 0 to 1 */
  score(peer: string): number;
  /** Mbit/s, where it was seen */
  mbps?(peer: string): number | undefined;
  /** 0 to 1: how sure the country is that the offer claims */
  countryConfidence?(peer: string): number;
  /** names of what an exit may share with others: its /24 or /48, its ASN; whoever shares one is counted as one of so many */
  places?(peer: string): string[];
  /** is little known of it? */
  isNew?(peer: string): boolean;
  /** base units that an exit would lose */
  stake?(peer: string): number;
};

/** An exit as it is weighed: `utility` is the product of the rest. */
export type Weighed<Known> = {
  known: Known;
  utility: number;
  factors: { score: number; speed: number; country: number; price: number; room: number; places: number };
};

/** Mbit/s that are as good as any more. */
const needMbps = 10;
/** utility falls with price^-gamma */
const gamma = 1;
/** Under a quarter of the highest price that fits, cheaper is no better: else next to nothing would be worth any risk. */
const floorShare = 4n;
/** Chosen from so many. */
const top = 5;
/** Of so many choices one tries a new exit that has something to lose. */
const exploring = 0.05;

const clamp = (value: number) => Math.min(1, Math.max(0, value));

/** Is there no place left? By the exit's own word. */
export const isFull = ({ offer }: Pick<KnownOffer, "offer">): boolean => offer.sessions >= offer.maxSessions;

/**
 * The matching offers with room by utility, the best first:
 * score * min(1, mbps / need) * countryConfidence * price^-gamma * room / k, with room = 1 - load and k for those that share a place. Where
 * nothing is known of any, all count alike, and the rest decides.
 */
export function weigh<Known extends Pick<KnownOffer, "offer">>(offers: Iterable<Known>, query: OfferQuery, view: View): Weighed<Known>[] {
  const open = [...offers].filter((known) => matches(known.offer, query) && !isFull(known));
  const prices = open.map(({ offer }) => priceOf(offer, query));
  const floor = prices.reduce(larger, 0n) / floorShare + 1n;
  const counted = prices.map((price) => larger(price, floor));
  const lowest = counted.reduce(smaller, counted[0] ?? floor);
  const scores = open.map(({ offer }) => clamp(view.score(offer.peer)));
  const isBlank = scores.every((score) => score === 0);
  const weighed = open.map((known, index): Weighed<Known> => {
    const { peer, sessions, maxSessions } = known.offer;
    const factors = {
      score: isBlank ? 1 : (scores[index] ?? 0),
      speed: clamp((view.mbps?.(peer) ?? needMbps) / needMbps),
      country: clamp(view.countryConfidence?.(peer) ?? 1),
      // 1 for the cheapest, so that it reads well; only proportions matter
      price: (Number(lowest) / Number(counted[index] ?? lowest)) ** gamma,
      room: 1 - sessions / maxSessions,
      places: 1,
    };
    return { known, factors, utility: factors.score * factors.speed * factors.country * factors.price * factors.room };
  });
  return shared(weighed, view).sort((a, b) => b.utility - a.utility || (a.known.offer.peer < b.known.offer.peer ? -1 : 1));
}

/**
 * Of k that share a place each counts 1/k, so that they count like one. Among the k are only those that are at least half as good by
 * score: nobody takes weight from an exit by putting worse ones beside it, or by claiming to be there.
 */
function shared<Known extends Pick<KnownOffer, "offer">>(weighed: Weighed<Known>[], { places }: View): Weighed<Known>[] {
  if (!places) return weighed;
  const members = new Map<string, number[]>();
  for (const { known, factors } of weighed)
    for (const place of places(known.offer.peer)) members.set(place, [...(members.get(place) ?? []), factors.score]);
  for (const scores of members.values()) scores.sort((a, b) => b - a);
  return weighed.map((one) => {
    const beside = places(one.known.offer.peer).map((place) => countFrom(members.get(place) ?? [], one.factors.score / 2));
    const k = Math.max(1, ...beside);
    return { ...one, utility: one.utility / k, factors: { ...one.factors, places: 1 / k } };
  });
}

/** How many of these, highest first, are at least `least`. */
function countFrom(sorted: number[], least: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? 0) >= least) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** By what exits beyond the best are tried: new ones by what they have at stake, or all alike where nobody has anything. */
function explorable<Known extends Pick<KnownOffer, "offer">>(
  weighed: readonly Weighed<Known>[],
  view: View,
): (one: Weighed<Known>) => number {
  const stakeOf = ({ known }: Weighed<Known>) => view.stake?.(known.offer.peer) ?? 0;
  const isStaked = weighed.some((one) => stakeOf(one) > 0);
  return (one) => (view.isNew?.(one.known.offer.peer) ? (isStaked ? stakeOf(one) : 1) * one.factors.places : 0);
}

/**
 * The order in which to try exits. One of the best five comes first, each with a probability in proportion to its utility, so that load
 * is shared; then the others in the same way. One time in twenty a new exit goes before them: it could not become known otherwise.
 * @param random from 0 to below 1
 */
export function choose<Known extends Pick<KnownOffer, "offer">>(
  weighed: readonly Weighed<Known>[],
  view: View,
  random: () => number,
): Known[] {
  const best = bestOf(weighed, random);
  const rest = weighed.filter((one) => !best.includes(one));
  const explored = random() < exploring ? drawn(rest, explorable(weighed, view), random) : undefined;
  const order: Weighed<Known>[] = explored ? [explored] : [];
  for (const pool = [...best]; pool.length > 0; ) {
    const next = drawn(pool, ({ utility }) => utility, random) ?? pool[0];
    if (!next) break;
    order.push(next);
    pool.splice(pool.indexOf(next), 1);
  }
  return [...order, ...rest.filter((one) => one !== explored)].map(({ known }) => known);
}

/** The best five; of those that are alike it is not always the same. */
function bestOf<Known>(weighed: readonly Weighed<Known>[], random: () => number): Weighed<Known>[] {
  const edge = weighed[top - 1]?.utility;
  if (edge === undefined) return [...weighed];
  const best = weighed.filter(({ utility }) => utility > edge);
  const alike = weighed.filter(({ utility }) => utility === edge);
  while (best.length < top) best.push(...alike.splice(Math.floor(random() * alike.length), 1));
  return best;
}

/** How likely `choose` is to put this one first, for people; `weighed` as `weigh` has it. */
export function chanceOf<Known extends Pick<KnownOffer, "offer">>(
  one: Weighed<Known>,
  weighed: readonly Weighed<Known>[],
  view: View,
): number {
  const [best, rest] = [weighed.slice(0, top), weighed.slice(top)];
  const weightOf = explorable(weighed, view);
  const sum = (items: readonly Weighed<Known>[], of: (item: Weighed<Known>) => number) =>
    items.reduce((total, item) => total + of(item), 0);
  const tried = sum(rest, weightOf);
  const explored = tried > 0 ? exploring : 0;
  if (!best.includes(one)) return tried > 0 ? (explored * weightOf(one)) / tried : 0;
  const all = sum(best, ({ utility }) => utility);
  return all > 0 ? ((1 - explored) * one.utility) / all : (1 - explored) / best.length;
}

/** One of them, with a probability in proportion to its weight; none where none has any. */
function drawn<T>(items: readonly T[], weightOf: (item: T) => number, random: () => number): T | undefined {
  const weights = items.map(weightOf);
  let left = random() * weights.reduce((sum, weight) => sum + weight, 0);
  for (const [index, weight] of weights.entries()) {
    left -= weight;
    if (weight > 0 && left < 0) return items[index];
  }
  return undefined;
}
