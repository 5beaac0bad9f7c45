import type { Hex } from "../lib/codec.ts";
import { fading, isKept } from "./epoch.ts";
import type { PairRecord } from "./record.ts";
import { type Own, weightedMedian } from "./score.ts";

/** What this node has seen of an exit in one week. `mbps` and `rttMs`: one value a session, at most `maxValues`. */
export type Seen = {
  sessions: number;
  fails: number;
  mbps: number[];
  rttMs: number[];
  flags: number;
  /** where its traffic came out, last seen */
  egressCountry?: string;
  egressAsn?: number;
};

/** How a session with an exit ended, for who remembers it. */
export type OwnSession = {
  provider: Hex;
  endedMs: number;
  /** by the exit's fault */
  failed: boolean;
  mbps?: number;
  rttMs?: number;
  flags: number;
  egressCountry?: string;
  egressAsn?: number;
};

export const maxValues = 64;
export const nothingSeen: Seen = { sessions: 0, fails: 0, mbps: [], rttMs: [], flags: 0 };

const kept = (values: number[], value: number | undefined): number[] =>
  value === undefined ? values : [...values, Math.round(value)].slice(-maxValues);
const most = 65_535;

/** One more session. */
export const withSession = (seen: Seen, { failed, mbps, rttMs, flags, ...session }: OwnSession): Seen => ({
  sessions: Math.min(most, seen.sessions + 1),
  fails: Math.min(most, seen.fails + (failed ? 1 : 0)),
  mbps: kept(seen.mbps, mbps === undefined ? undefined : Math.min(most, mbps)),
  rttMs: kept(seen.rttMs, rttMs === undefined ? undefined : Math.min(most, rttMs)),
  flags: seen.flags | flags,
  ...egressOf(seen, session),
});

export const together = (a: Seen, b: Seen): Seen => ({
  sessions: Math.min(most, a.sessions + b.sessions),
  fails: Math.min(most, a.fails + b.fails),
  mbps: [...a.mbps, ...b.mbps].slice(-maxValues),
  rttMs: [...a.rttMs, ...b.rttMs].slice(-maxValues),
  flags: a.flags | b.flags,
  ...egressOf(a, b),
});

type EgressSeen = Pick<Seen, "egressCountry" | "egressAsn">;

/** The later of two, as far as it is known. */
export function egressOf(earlier: EgressSeen, later: EgressSeen): EgressSeen {
  const { egressCountry, egressAsn } = later.egressCountry === undefined && later.egressAsn === undefined ? earlier : later;
  return { ...(egressCountry !== undefined && { egressCountry }), ...(egressAsn !== undefined && { egressAsn }) };
}

export const medianOf = (values: readonly number[]): number | undefined => weightedMedian(values.map((value) => ({ value, weight: 1 })));

/** What was cleared for an exit in one week, and by which channels' salts. */
export type Paid = { amount: bigint; salts: Uint8Array[] };

export type Untold = Omit<PairRecord, "payer" | "seq">;

/**
 * What is to be told of an exit: a record for each week in which money was cleared, for a word without money weighs nothing. Sessions
 * are told with the money that came to be cleared after them: with that of their own week, else of the next that has any.
 */
export function recordsToTell(provider: Hex, seen: ReadonlyMap<number, Seen>, paid: ReadonlyMap<number, Paid>, nowMs: number): Untold[] {
  const records: Untold[] = [];
  let waiting = nothingSeen;
  for (const epoch of [...new Set([...seen.keys(), ...paid.keys()])].sort((a, b) => a - b)) {
    if (!isKept(epoch, nowMs)) continue;
    waiting = together(waiting, seen.get(epoch) ?? nothingSeen);
    const money = paid.get(epoch);
    if (!money || money.amount === 0n) continue;
    const { sessions, fails, mbps, rttMs, flags, egressCountry, egressAsn } = waiting;
    records.push({
      ...{ provider, epoch, settled: money.amount, salts: money.salts, sessions, fails, flags },
      ...{ mbpsP50: medianOf(mbps), rttP50: medianOf(rttMs), egressCountry, egressAsn },
    });
    waiting = nothingSeen;
  }
  return records;
}

/** Our own dealings with an exit as they count now. */
export function ownOf(provider: Hex, seen: ReadonlyMap<number, Seen>, paid: ReadonlyMap<number, Paid>, nowMs: number): Own {
  const own = { provider, volume: 0, ok: 0, fail: 0 };
  for (const [epoch, { amount }] of paid) if (isKept(epoch, nowMs)) own.volume += Number(amount) * fading(epoch, nowMs);
  for (const [epoch, { sessions, fails }] of seen) {
    if (!isKept(epoch, nowMs)) continue;
    own.ok += (sessions - fails) * fading(epoch, nowMs);
    own.fail += fails * fading(epoch, nowMs);
  }
  return own;
}
