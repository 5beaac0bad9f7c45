import type { Hex } from "../lib/codec.ts";
import type { Known } from "./explanation.ts";
import type { Own, Rating, Ratings } from "./score.ts";
import { egressOf } from "./telling.ts";

/** Who goes on under another key: both keys have signed that, and no two become one. */
export type Names = {
  /** the address that this one is now; the same where there was no hand-over */
  now(address: Hex): Hex;
  /** the addresses that it had before, the latest first */
  before(address: Hex): Hex[];
};

export const sameNames: Names = { now: (address) => address, before: () => [] };

type Evidence = Omit<Known, "flows">;

/** What is known, each under the name that it has now: exits and payers are who they were, and the records stay as they were signed. */
export function renamed({ own, ratings, seen, records }: Evidence, { now, before }: Names): Evidence {
  const all = (address: Hex): Hex[] => [address, ...before(address)];
  const ratingsOf = (entries: Rating[]): Rating[] => entries.map((one) => ({ ...one, payer: now(one.payer), provider: now(one.provider) }));
  const of: Ratings["of"] = (provider) => added(ratingsOf(all(provider).flatMap((name) => [...ratings.of(name)])), ({ payer }) => payer);
  const by: Ratings["by"] = (payer) => added(ratingsOf(all(payer).flatMap((name) => [...ratings.by(name)])), ({ provider }) => provider);
  return {
    own: added<Own>(
      own.map((one) => ({ ...one, provider: now(one.provider) })),
      ({ provider }) => provider,
    ),
    ratings: { of, by },
    seen: (provider) =>
      all(provider)
        .map(seen)
        .reduce((a, b) => ({
          sessions: a.sessions + b.sessions,
          fails: a.fails + b.fails,
          mbps: [...a.mbps, ...b.mbps],
          rttMs: [...a.rttMs, ...b.rttMs],
          flags: a.flags | b.flags,
          // the present name comes first, and what was seen under it counts before what was seen earlier
          ...egressOf(b, a),
        })),
    records: (provider) => all(provider).flatMap((name) => records(name).map((record) => ({ ...record, payer: now(record.payer) }))),
  };
}

/** One for each name, with the sums of all that have it. */
function added<T extends { volume: number; ok: number; fail: number }>(entries: readonly T[], nameOf: (one: T) => Hex): T[] {
  const sums = new Map<Hex, T>();
  for (const one of entries) {
    const sum = sums.get(nameOf(one));
    const { volume = 0, ok = 0, fail = 0 } = sum ?? {};
    sums.set(nameOf(one), { ...one, volume: volume + one.volume, ok: ok + one.ok, fail: fail + one.fail });
  }
  return [...sums.values()];
}
