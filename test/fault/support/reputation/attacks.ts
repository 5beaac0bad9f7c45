import type { Hex } from "../../../../src/lib/codec.ts";
import { type Flows, flowsOf, referenceFlow } from "../../../../src/reputation/score.ts";
import {
  type Deal,
  exitCount,
  type Heard,
  heardBy,
  honestDeals,
  honestExit,
  judging,
  ledgerOf,
  mean,
  median,
  type Observer,
  observers,
  revenues,
  signed,
  staked,
  sybilExit,
  sybilPayer,
} from "./market.ts";

/** A market, those who look at it, and what attackers may do in it: `sybils` names of their own, all of them payer and exit. */
export type Scene = { deals: Deal[]; watching: Observer[]; sybils: number; seed: number; revenue: Map<Hex, number>; typical: number };

export function scene(seed: number, sybils: number, watchers: number): Scene {
  const deals = honestDeals(seed);
  const revenue = revenues(deals);
  return { deals, watching: observers(deals, watchers), sybils, seed, revenue, typical: median([...revenue.values()]) };
}

const exits = Array.from({ length: exitCount }, (_, index) => honestExit(index));
const counting = (count: number) => Array.from({ length: count }, (_, index) => index);
/** Attackers praise themselves without measure: that costs them nothing. */
const praise = (payer: number, exit: number): Deal => ({
  ...{ payer: sybilPayer(payer), provider: sybilExit(exit), spent: 1_000, sessions: 100, fails: 0 },
});
/** What a stranger to an honest exit thinks of it, on average over those who look. */
const honestScore = ({ watching, revenue }: Scene, view: (observer: Observer) => (provider: Hex) => number): number =>
  mean(watching.map((observer) => median([...revenue.keys()].filter((exit) => !knows(observer, exit)).map(view(observer)))));
const knows = ({ own }: Observer, exit: Hex) => own.some(({ provider }) => provider === exit);

/** Everybody's word by its money, whoever hears it: what scores are without being personal. */
const impersonal =
  ({ ratings }: Heard, providers: readonly Hex[]) =>
  (flows: Flows): Flows => {
    const through = (provider: Hex) => new Map(ratings.of(provider).map(({ payer, volume }) => [payer, volume]));
    const to = (provider: Hex) => [...through(provider).values()].reduce((a, b) => a + b, 0);
    return { ...flows, to, through, reference: referenceFlow(providers.map(to)) };
  };

/** Attackers pay one another, and nobody else. What that gains an exit of theirs: with stake or without, at most over all who look. */
export async function washTrading(at: Scene): Promise<{ gain: number; control: number }> {
  const theirs = counting(at.sybils).flatMap((index) => [praise(index, index % 10), praise(index, (index + 1) % 10)]);
  const [before, after] = [await heardBy(at.deals, at.seed), await heardBy([...at.deals, ...theirs], at.seed)];
  const gains = at.watching.flatMap((observer) => {
    const [without, withThem] = [judging(observer, before), judging(observer, after)];
    return counting(10).flatMap((index) => {
      const exit = sybilExit(index);
      return [withThem.judge(exit).score, withThem.judge(exit, staked).score - without.judge(exit, staked).score];
    });
  });
  const everybody = [...exits, ...counting(10).map(sybilExit)];
  const control = at.watching.map((observer) => judging(observer, after, impersonal(after, everybody)).judge(sybilExit(0)).score);
  return { gain: Math.max(...gains.map(Math.abs)), control: mean(control) };
}

/**
 * How attackers spend a budget on honest exits, to praise so many exits of their own: by so many names, each of which praises `each` of
 * them; alike on all honest exits, or by what those take in.
 */
type Way = { payers: number; own: number; each: number; spread: "alike" | "by revenue" };
const ways = (sybils: number): Way[] =>
  (["alike", "by revenue"] as const).flatMap((spread) =>
    (
      [
        [10, 1, 1],
        [32, 1, 1],
        [100, 1, 1],
        [100, 10, 1],
        [32, 100, 100],
        [500, 50, 1],
        [sybils, sybils, 1],
      ] as const
    ).map(([payers, own, each]) => ({ payers, own, each, spread })),
  );

const infiltrators = ({ revenue }: Scene, spent: number, { payers, own, each, spread }: Way): Deal[] => {
  const all = [...revenue.values()].reduce((a, b) => a + b, 0);
  const places = (exit: Hex) => (spread === "alike" ? 1 : Math.max(1, Math.round((payers * (revenue.get(exit) ?? 0)) / all)));
  // the least used first: there a little is much
  const paid = exits.toReversed().flatMap((exit) => new Array<Hex>(places(exit)).fill(exit));
  return counting(payers).flatMap((index) => [
    { ...praise(index, 0), provider: paid[index % paid.length] as Hex, spent: spent / payers, sessions: 10 },
    ...counting(each).map((further) => praise(index, (index + further) % own)),
  ]);
};

/** The median of exits each counted once, as a reference: with many exits of next to no flow it is next to nothing. */
const plainMedian =
  (observer: Observer, ratings: Parameters<typeof flowsOf>[2], candidates: readonly Hex[]) =>
  (flows: Flows): Flows => {
    const known = flowsOf(observer.self, observer.own, ratings);
    return { ...flows, reference: median(candidates.map(known.to).filter((flow) => flow > 0)) };
  };

/**
 * Attackers pay honest exits `share` times what a typical one takes in, so as to be co-payers, and praise exits of their own. The best
 * of these, over the ways to do it, beside what strangers think of honest exits in the same market.
 */
export async function infiltration(at: Scene, share: number): Promise<{ best: number; honest: number; control: number }> {
  let [best, honest, control] = [0, 1, 0];
  for (const way of ways(at.sybils)) {
    const heard = await heardBy([...at.deals, ...infiltrators(at, share * at.typical, way)], at.seed);
    const theirs = counting(way.own).map(sybilExit);
    const scores = at.watching.map((observer) => {
      const { judge } = judging(observer, heard);
      return Math.max(...theirs.map((exit) => judge(exit).score));
    });
    best = Math.max(best, mean(scores));
    honest = Math.min(
      honest,
      honestScore(at, (observer) => {
        const { judge } = judging(observer, heard);
        return (exit) => judge(exit).score;
      }),
    );
    const undefended = at.watching.map((observer) => {
      const { judge } = judging(observer, heard, plainMedian(observer, heard.ratings, [...exits, ...theirs]));
      return Math.max(...theirs.map((exit) => judge(exit).score));
    });
    control = Math.max(control, mean(undefended));
  }
  return { best, honest, control };
}

/** Each rater one vote, whatever it has paid. */
const votes =
  (heard: Awaited<ReturnType<typeof heardBy>>) =>
  (flows: Flows): Flows => {
    const through = (provider: Hex) => new Map(heard.ratings.of(provider).map(({ payer }) => [payer, 1]));
    return { ...flows, through, to: (provider) => through(provider).size };
  };

/**
 * Attackers spend `share` times what a typical exit takes in, part of it with exits that the observers use, the rest with one honest
 * exit, of which they say that it always fails. By how much its score falls with strangers, at most over the ways to do it.
 */
export async function slander(at: Scene, share: number): Promise<{ before: number; after: number; control: number }> {
  const victim = [...at.revenue].sort((a, b) => Math.abs(a[1] - at.typical) - Math.abs(b[1] - at.typical))[0]?.[0] as Hex;
  const strangers = at.watching.filter((observer) => !knows(observer, victim));
  const scoreIn = (heard: Heard, change?: (flows: Flows) => Flows) =>
    mean(strangers.map((observer) => judging(observer, heard, change).judge(victim).score));
  const heardBefore = await heardBy(at.deals, at.seed);
  const before = scoreIn(heardBefore);
  let [after, control] = [1, 1];
  const others = exits.filter((exit) => exit !== victim);
  for (const payers of [10, 32, at.sybils])
    for (const part of [0.25, 0.5, 0.75]) {
      const budget = (share * at.typical) / payers;
      const theirs = counting(payers).flatMap((index): Deal[] => [
        { payer: sybilPayer(index), provider: others[index % others.length] as Hex, spent: budget * (1 - part), sessions: 5, fails: 0 },
        { payer: sybilPayer(index), provider: victim, spent: budget * part, sessions: 20, fails: 20 },
      ]);
      const heard = await heardBy([...at.deals, ...theirs], at.seed);
      after = Math.min(after, scoreIn(heard));
      if (payers !== at.sybils) continue;
      const unlimited = await heardBy([...at.deals, ...theirs], at.seed, { raters: Number.POSITIVE_INFINITY });
      control = Math.min(control, scoreIn(unlimited, votes(unlimited)));
    }
  return { before, after, control };
}

/** Infiltrators tell each of two stories. What they still weigh once both are known, beside what they weigh as long as one is. */
export async function forking(at: Scene): Promise<{ weight: number; control: number; proofs: number }> {
  const theirs = infiltrators(at, at.typical, { payers: 32, own: 1, each: 1, spread: "alike" });
  const ledger = await ledgerOf(at.deals, at.seed);
  for (const deal of theirs) ledger.take(signed(deal), deal.spent * 1e18);
  const flowNow = () => {
    const heard = { ratings: ledger.ratings(), records: ledger.records };
    return mean(at.watching.map((observer) => judging(observer, heard).judge(sybilExit(0)).flow));
  };
  const control = flowNow();
  let proofs = 0;
  for (const deal of theirs) if (ledger.take(signed({ ...deal, fails: deal.sessions }), deal.spent * 1e18)) proofs += 1;
  return { weight: flowNow(), control, proofs };
}
