import type { Hex } from "../lib/codec.ts";

/** What a payer has told of an exit, over all its weeks, faded: what was settled, and how its sessions ended. */
export type Rating = { payer: Hex; provider: Hex; volume: number; ok: number; fail: number };

/** Our own dealings with an exit, faded in the same way. */
export type Own = { provider: Hex; volume: number; ok: number; fail: number };

/** Ratings by either end; those of payers that have told two stories are left out before. */
export type Ratings = { of(provider: Hex): readonly Rating[]; by(payer: Hex): readonly Rating[] };

/** Gossip counts like so many own sessions at most, so that more own ones than that outweigh it. */
export const mostGossip = 20;
/** No rater counts for more than this share of it. */
const mostOfOne = 1 / 10;

/** T_i(q) for one observer: for each exit, what flows to it through each rater. */
export type Flows = {
  /** how much of our money's trace ends at this exit: 0 to 1, all exits together at most 1 */
  to(provider: Hex): number;
  through(provider: Hex): ReadonlyMap<Hex, number>;
  /** what an exit that may be called established gets: see `referenceFlow` */
  reference: number;
};

/**
 * How much of a payer's standing comes from us: sum over p of (V_ip / V_i)(V_cp / V_p), with V what was settled. That is the first two
 * of the three steps of T_i(q) = sum_p sum_{c != i} (V_ip/V_i)(V_cp/V_p)(V_cq/V_c).
 *
 * It is money that was paid to exits which we have paid too; nobody gets any by dealing with others. V_p has our own part in it, so
 * that whoever pays little beside us counts little.
 */
export function standings(self: Hex, own: readonly Own[], ratings: Ratings): Map<Hex, number> {
  const standing = new Map<Hex, number>();
  const all = own.reduce((sum, { volume }) => sum + volume, 0);
  for (const { provider, volume } of own) {
    if (volume <= 0) continue;
    const others = ratings.of(provider).filter(({ payer }) => payer !== self);
    const revenue = others.reduce((sum, rating) => sum + rating.volume, volume);
    for (const rating of others) standing.set(rating.payer, (standing.get(rating.payer) ?? 0) + (volume / all) * (rating.volume / revenue));
  }
  return standing;
}

/**
 * The third step: each payer's standing goes on to the exits that it has paid, in proportion. "Trust in exits, personal, from settled
 * money": three steps, no more, so it cannot be led round in circles, and what all exits get together is bounded by what honest ones
 * were paid.
 */
export function flowsOf(self: Hex, own: readonly Own[], ratings: Ratings): Flows {
  const flows = new Map<Hex, Map<Hex, number>>();
  for (const [payer, standing] of standings(self, own, ratings)) {
    const theirs = ratings.by(payer);
    const spent = theirs.reduce((sum, { volume }) => sum + volume, 0);
    if (spent <= 0) continue;
    for (const { provider, volume } of theirs) {
      const through = flows.get(provider) ?? new Map<Hex, number>();
      flows.set(provider, through.set(payer, (through.get(payer) ?? 0) + (standing * volume) / spent));
    }
  }
  const totals = new Map([...flows].map(([provider, through]) => [provider, sumOf(through.values())]));
  const known = new Set(own.filter(({ volume }) => volume > 0).map(({ provider }) => provider));
  const strangers = [...totals].filter(([provider]) => !known.has(provider)).map(([, flow]) => flow);
  return {
    to: (provider) => totals.get(provider) ?? 0,
    through: (provider) => flows.get(provider) ?? new Map(),
    reference: referenceFlow(strangers.length > 0 ? strangers : [...totals.values()]),
  };
}

const sumOf = (values: Iterable<number>): number => {
  let sum = 0;
  for (const value of values) sum += value;
  return sum;
};

/**
 * T_median: the flow that exits have which carry half of all flow, the largest first. The median of exits, each counted once, would be
 * whatever somebody likes who makes enough of them with next to nothing each.
 */
export function referenceFlow(flows: readonly number[]): number {
  const half = sumOf(flows) / 2;
  let carried = 0;
  for (const flow of [...flows].sort((a, b) => b - a)) {
    carried += flow;
    if (carried >= half) return flow;
  }
  return 0;
}

/**
 * How much the word of each rater counts: M * (its flow) / T_i(q), M / 10 at most, where M = min(20, 20 T_i(q) / T_median).
 * Nothing at all where nothing flows.
 */
export function weightsOf(provider: Hex, flows: Flows): Map<Hex, number> {
  const total = flows.to(provider);
  if (!(total > 0) || !(flows.reference > 0)) return new Map();
  const mass = Math.min(mostGossip, (mostGossip * total) / flows.reference);
  return new Map([...flows.through(provider)].map(([payer, flow]) => [payer, Math.min(mass * mostOfOne, (mass * flow) / total)]));
}

/** What is held for and against an exit, in sessions. */
export type Evidence = { ok: number; fail: number };

/** Own sessions count each, a rater by its weight, shared out as its own sessions ended. */
export function evidenceOf(own: Evidence | undefined, weights: ReadonlyMap<Hex, number>, ratings: readonly Rating[]): Evidence {
  const sum = { ok: own?.ok ?? 0, fail: own?.fail ?? 0 };
  for (const { payer, ok, fail } of ratings) {
    const weight = weights.get(payer) ?? 0;
    if (ok + fail <= 0) continue;
    sum.ok += (weight * ok) / (ok + fail);
    sum.fail += (weight * fail) / (ok + fail);
  }
  return sum;
}

/**
 * Q: mean of a beta distribution less its deviation, from alpha = 1 + ok and beta = 1 + fail: what quality may be counted on. 0.21
 * where nothing is known.
 */
export function qualityOf({ ok, fail }: Evidence): number {
  const [alpha, beta] = [1 + ok, 1 + fail];
  const sum = alpha + beta;
  return alpha / sum - Math.sqrt((alpha * beta) / (sum * sum * (sum + 1)));
}

/** What backs an exit of which nothing is known: stake * min(age, 90 d) as a share of what the network's least bond reaches in 90 days. */
export const coldStart = (aged: bigint, full: bigint): number => (full > 0n ? Math.min(1, Number(aged) / Number(full)) : 0);

/**
 * The score: Q, where the one good session that its 1 + ok supposes is taken back as far as neither evidence nor stake makes up for it.
 * So it is exactly 0 for whoever has neither, and what has only failed gains nothing by that.
 */
export const scoreOf = (evidence: Evidence, cold: number): number => (qualityOf(evidence) * (evidence.ok + cold)) / (evidence.ok + 1);

/** The value below which half of the weight lies; undefined where there is none. */
export function weightedMedian(values: readonly { value: number; weight: number }[]): number | undefined {
  const sorted = values.filter(({ weight }) => weight > 0).sort((a, b) => a.value - b.value);
  const half = sumOf(sorted.map(({ weight }) => weight)) / 2;
  let passed = 0;
  for (const { value, weight } of sorted) {
    passed += weight;
    if (passed >= half) return value;
  }
  return undefined;
}
