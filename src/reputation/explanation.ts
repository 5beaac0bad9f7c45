import type { Hex } from "../lib/codec.ts";
import { fullAgeMs, type Stake } from "./cleared.ts";
import type { HeldRecord } from "./ledger.ts";
import {
  coldStart,
  type Evidence,
  evidenceOf,
  type Flows,
  mostGossip,
  type Own,
  qualityOf,
  type Ratings,
  scoreOf,
  weightedMedian,
  weightsOf,
} from "./score.ts";
import { medianOf, type Seen } from "./telling.ts";

/** All that is known when exits are judged. */
export type Known = {
  own: readonly Own[];
  ratings: Ratings;
  flows: Flows;
  /** what this node has seen of an exit itself, in all weeks that count */
  seen(provider: Hex): Seen;
  records(provider: Hex): HeldRecord[];
};

/** What there is to say of one exit. */
export type Judged = {
  /** 0 to 1 */
  score: number;
  /** Q, before what stands in for evidence is taken off */
  quality: number;
  evidence: Evidence;
  /** what others' words count of it, in sessions: 20 at most */
  gossip: number;
  /** T_i(q), the share of our money's trace that ends here, and what an established exit gets */
  flow: number;
  reference: number;
  /** Mbit/s and ms, medians of what was seen here and told; undefined where nothing was */
  mbps: number | undefined;
  rttMs: number | undefined;
  /** network and country that its traffic comes out of: seen here, else as most say by weight */
  asn: number | undefined;
  egressCountry: string | undefined;
  stake: Stake;
  /** 0 to 1: how far the stake makes up for what is not known */
  cold: number;
  /** little is known of it: less than five sessions' worth */
  isNew: boolean;
};

const newUnder = 5;

export function judgedBy(known: Known, provider: Hex, stake: Stake, fullStake: bigint): Judged {
  const weights = weightsOf(provider, known.flows);
  const evidence = evidenceOf(
    known.own.find((one) => one.provider === provider),
    weights,
    known.ratings.of(provider),
  );
  const cold = coldStart(stake.aged, fullStake);
  const told = known.records(provider).filter(({ payer }) => weights.has(payer));
  const { mbps, rttMs, ...seen } = known.seen(provider);
  const median = (own: number[], of: (record: HeldRecord) => number | undefined) =>
    weightedMedian([
      ...own.map((value) => ({ value, weight: 1 })),
      ...newest(told).flatMap((record) => {
        const value = of(record);
        return value === undefined ? [] : [{ value, weight: weights.get(record.payer) ?? 0 }];
      }),
    ]);
  return {
    score: scoreOf(evidence, cold),
    quality: qualityOf(evidence),
    evidence,
    gossip: [...weights.values()].reduce((sum, weight) => sum + weight, 0),
    flow: known.flows.to(provider),
    reference: known.flows.reference,
    mbps: median(mbps, ({ mbpsP50 }) => mbpsP50),
    rttMs: median(rttMs, ({ rttP50 }) => rttP50),
    asn: seen.egressAsn ?? most(newest(told), weights, ({ egressAsn }) => egressAsn),
    egressCountry: seen.egressCountry ?? most(newest(told), weights, ({ egressCountry }) => egressCountry),
    stake,
    cold,
    isNew: evidence.ok + evidence.fail < newUnder,
  };
}

/** Each payer's last word. */
const newest = (told: readonly HeldRecord[]): HeldRecord[] =>
  [...Map.groupBy(told, ({ payer }) => payer).values()].map((theirs) => theirs.reduce((a, b) => (b.epoch > a.epoch ? b : a)));

/** What most of them say, by their weight. */
function most<T>(told: readonly HeldRecord[], weights: ReadonlyMap<Hex, number>, of: (record: HeldRecord) => T | undefined): T | undefined {
  const votes = new Map<T, number>();
  for (const record of told) {
    const value = of(record);
    if (value !== undefined) votes.set(value, (votes.get(value) ?? 0) + (weights.get(record.payer) ?? 0));
  }
  return [...votes].sort((a, b) => b[1] - a[1])[0]?.[0];
}

/** One who has paid exits that we have paid too, and this one. */
export type CoPayer = {
  payer: Hex;
  /** so many sessions its word counts for */
  weight: number;
  /** its sessions, faded */
  ok: number;
  fail: number;
  /** what it has settled with this exit, faded, base units */
  settled: number;
  /** the exits that both of us have paid */
  via: Hex[];
};

export type Explanation = Judged & {
  own: Own & { sessions: number; fails: number; mbps: number | undefined; rttMs: number | undefined };
  /** the greatest first, at most 20 */
  coPayers: CoPayer[];
  /** raters of it that are held, those of no weight included */
  raters: number;
  /** what no word of others can go beyond, in sessions: all together, and one of them */
  bounds: { gossip: number; rater: number };
  /** for how long its stake has stood, on average, ms */
  stakeAgeMs: number;
};

const shown = 20;

export function explained(known: Known, provider: Hex, judged: Judged): Explanation {
  const weights = weightsOf(provider, known.flows);
  const ratings = known.ratings.of(provider);
  const paid = known.own.filter(({ volume }) => volume > 0).map((one) => one.provider);
  const coPayers = ratings
    .filter(({ payer }) => weights.has(payer))
    .map(({ payer, ok, fail, volume }) => ({
      ...{ payer, ok, fail, settled: volume, weight: weights.get(payer) ?? 0 },
      via: paid.filter((one) => known.ratings.of(one).some((rating) => rating.payer === payer)),
    }))
    .sort((a, b) => b.weight - a.weight || b.settled - a.settled)
    .slice(0, shown);
  const { sessions, fails, mbps, rttMs } = known.seen(provider);
  const own = known.own.find((one) => one.provider === provider) ?? { provider, volume: 0, ok: 0, fail: 0 };
  const mass = judged.reference > 0 ? Math.min(mostGossip, (mostGossip * judged.flow) / judged.reference) : 0;
  return {
    ...judged,
    own: { ...own, sessions, fails, mbps: medianOf(mbps), rttMs: medianOf(rttMs) },
    coPayers,
    raters: ratings.length,
    bounds: { gossip: mass, rater: mass / 10 },
    stakeAgeMs: judged.stake.bond > 0n ? Math.min(fullAgeMs, Number(judged.stake.aged / judged.stake.bond)) : 0,
  };
}
