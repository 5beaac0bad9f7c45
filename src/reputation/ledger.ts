import { createHmac, randomBytes } from "node:crypto";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import type { Op, Store, Table } from "../lib/store.ts";
import { epochOf, fading, isKept } from "./epoch.ts";
import { contradict, encodeFork, encodePair, type Fork, type PairRecord, readFork, readPair, type SignedPair } from "./record.ts";
import type { Rating, Ratings } from "./score.ts";

/** How a record stands to what is held of its payer, exit and week. */
export type Relation = "newer" | "same" | "older" | "fork";

/** What counts of a record, and the record itself as it was signed. */
export type HeldRecord = Pick<
  PairRecord,
  "payer" | "epoch" | "seq" | "sessions" | "fails" | "mbpsP50" | "rttP50" | "egressCountry" | "egressAsn"
> & {
  /** base units, as near as a number comes to them */
  settled: number;
  envelope: Uint8Array;
};

/** This node's own copy of what payers say of exits: of each exit the payers that have paid it most, for 13 weeks. */
export type Ledger = {
  compare(signed: SignedPair): Relation;
  /**
   * Takes in a record that has been checked. `backing`: what was cleared on its channels over all weeks, faded; where an exit has its
   * number of raters, the one with the least makes room. Returns the proof where it contradicts what is held: that payer counts no more.
   */
  take(signed: SignedPair, backing: number): Fork | undefined;
  /** Takes in a checked proof. False when its payer is known for it. */
  takeFork(fork: Fork): boolean;
  isForked(payer: Hex): boolean;
  /** what counts now, faded; without those who have told two stories */
  ratings(): Ratings;
  /** an exit's records, those of its greatest raters first */
  records(provider: Hex): HeldRecord[];
  count(): { records: number; providers: number; forks: number };
  /** Keeps only records for which `holds`: after a reorganisation what was cleared may not be so any more. */
  recheck(holds: (record: PairRecord) => Promise<boolean>): Promise<void>;
  /** Forgets what is too old and writes what has changed. */
  save(): Promise<void>;
};

export type LedgerOptions = { raters?: number; records?: number; forks?: number };

type Deps = {
  store: Pick<Store, "writeLazily">;
  /** of its own, of one contract */
  table: Table;
  clock: Pick<Clock, "nowMs">;
  /** is this exit one that we have paid, or that those have who paid the same? Such are kept when room is short */
  matters(provider: Hex): boolean;
};

type Rater = { backing: number; epochs: Map<number, HeldRecord> };
type Name = Pick<PairRecord, "payer" | "provider" | "epoch">;

const defaults = { raters: 32, records: 16_384, forks: 4_096 };

/** Opens what was kept. The table is our own: what is in it was checked before it was written. */
export async function openLedger(deps: Deps, options: LedgerOptions = {}): Promise<Ledger> {
  const { table, clock, store } = deps;
  const { raters: maxRaters, records: maxRecords, forks: maxForks } = { ...defaults, ...options };
  const providers = new Map<Hex, Map<Hex, Rater>>();
  const forks = new Map<Hex, Fork>();
  const dirty = new Map<string, Op>();
  const secret = randomBytes(32);
  let records = 0;
  let purgedIn = epochOf(clock.nowMs());

  /** in an order that nobody else knows */
  const shuffled = (names: Hex[]): Hex[] => {
    const place = (name: Hex) => createHmac("sha256", secret).update(name).digest("hex");
    const placed = names.map((name) => ({ name, at: place(name) }));
    return placed.sort((a, b) => (a.at < b.at ? -1 : 1)).map(({ name }) => name);
  };
  const rowOf = ({ provider, payer, epoch }: Name) => `pair/${provider}/${payer}/${epoch}`;
  const hold = (signed: SignedPair, backing: number) => {
    const { provider, payer, epoch } = signed.record;
    const held = providers.get(provider) ?? new Map<Hex, Rater>();
    const rater = held.get(payer) ?? { backing, epochs: new Map<number, HeldRecord>() };
    if (!rater.epochs.has(epoch)) records += 1;
    rater.backing = backing;
    rater.epochs.set(epoch, heldFrom(signed));
    providers.set(provider, held.set(payer, rater));
  };
  const drop = ({ provider, payer, epoch }: Name) => {
    const held = providers.get(provider);
    const rater = held?.get(payer);
    if (!held || !rater?.epochs.delete(epoch)) return;
    records -= 1;
    dirty.set(rowOf({ provider, payer, epoch }), table.del(rowOf({ provider, payer, epoch })));
    if (rater.epochs.size === 0) held.delete(payer);
    if (held.size === 0) providers.delete(provider);
  };
  const dropRater = (provider: Hex, payer: Hex) => {
    for (const epoch of [...(providers.get(provider)?.get(payer)?.epochs.keys() ?? [])]) drop({ provider, payer, epoch });
  };
  const names = (): Name[] =>
    [...providers].flatMap(([provider, held]) =>
      [...held].flatMap(([payer, { epochs }]) => [...epochs.keys()].map((epoch) => ({ provider, payer, epoch }))),
    );
  const least = (held: Map<Hex, Rater>) => [...held].reduce((a, b) => (b[1].backing < a[1].backing ? b : a));
  /**
   * Which exit goes when there are too many records: one that matters nothing to us, in an order that only we know. Neither making
   * exits nor paying oneself large sums tells anybody how to push a certain one out.
   */
  const makeRoom = () => {
    const candidates = shuffled([...providers.keys()]).sort((a, b) => Number(deps.matters(a)) - Number(deps.matters(b)));
    for (const provider of candidates) {
      if (records <= maxRecords) return;
      for (const payer of [...(providers.get(provider)?.keys() ?? [])]) dropRater(provider, payer);
    }
  };
  const purge = () => {
    const nowMs = clock.nowMs();
    if (epochOf(nowMs) === purgedIn) return;
    purgedIn = epochOf(nowMs);
    for (const name of names()) if (!isKept(name.epoch, nowMs)) drop(name);
  };
  const takeFork = (fork: Fork): boolean => {
    const { payer } = fork.a.record;
    if (forks.has(payer)) return false;
    if (forks.size >= maxForks) {
      const [chosen] = shuffled([...forks.keys()]);
      forks.delete(chosen as Hex);
      dirty.set(`fork/${chosen}`, table.del(`fork/${chosen}`));
    }
    forks.set(payer, fork);
    dirty.set(`fork/${payer}`, table.put(`fork/${payer}`, encodeFork(fork)));
    for (const provider of [...providers.keys()]) dropRater(provider, payer);
    return true;
  };
  const heldOf = ({ provider, payer, epoch }: Name) => providers.get(provider)?.get(payer)?.epochs.get(epoch);
  const compare = (signed: SignedPair): Relation => {
    const held = heldOf(signed.record);
    if (!held || signed.record.seq > held.seq) return "newer";
    if (signed.record.seq < held.seq) return "older";
    return contradict(signed, readPair(held.envelope)) ? "fork" : "same";
  };

  for await (const [key, bytes] of table.entries()) {
    try {
      if (key.startsWith("pair/")) hold(readPair(Uint8Array.from(bytes)), 0);
      else forks.set(key.slice("fork/".length) as Hex, readFork(Uint8Array.from(bytes)));
    } catch {
      dirty.set(key, table.del(key));
    }
  }
  // what a rater has settled by its own word stands for what backs it, until it says something new
  for (const held of providers.values()) for (const rater of held.values()) rater.backing = volumeOf(rater, clock.nowMs());

  return {
    compare,
    take: (signed, backing) => {
      const { record } = signed;
      const relation = compare(signed);
      const held = heldOf(record);
      if (relation === "fork" && held) {
        const fork = { a: readPair(held.envelope), b: signed };
        return takeFork(fork) ? fork : undefined;
      }
      if (relation !== "newer" || forks.has(record.payer)) return undefined;
      const others = providers.get(record.provider);
      if (others && !others.has(record.payer) && others.size >= maxRaters) {
        const [payer, { backing: theirs }] = least(others);
        if (theirs >= backing) return undefined;
        dropRater(record.provider, payer);
      }
      hold(signed, backing);
      dirty.set(rowOf(record), table.put(rowOf(record), encodePair(signed)));
      if (records > maxRecords) makeRoom();
      return undefined;
    },
    takeFork,
    isForked: (payer) => forks.has(payer),
    ratings: () => ratingsOf(providers, clock.nowMs()),
    records: (provider) =>
      [...(providers.get(provider)?.values() ?? [])].sort((a, b) => b.backing - a.backing).flatMap(({ epochs }) => [...epochs.values()]),
    count: () => ({ records, providers: providers.size, forks: forks.size }),
    recheck: async (holds) => {
      for (const name of names()) {
        const held = heldOf(name);
        if (held && !(await holds(readPair(held.envelope).record))) drop(name);
      }
    },
    save: async () => {
      purge();
      if (dirty.size === 0) return;
      const ops = [...dirty.values()];
      dirty.clear();
      await store.writeLazily(ops);
    },
  };
}

function heldFrom(signed: SignedPair): HeldRecord {
  const { payer, epoch, seq, settled, sessions, fails, mbpsP50, rttP50, egressCountry, egressAsn } = signed.record;
  return {
    ...{ payer, epoch, seq, sessions, fails, mbpsP50, rttP50, egressCountry, egressAsn },
    settled: Number(settled),
    envelope: encodePair(signed),
  };
}

const volumeOf = ({ epochs }: Rater, nowMs: number): number => {
  let volume = 0;
  for (const [epoch, { settled }] of epochs) if (isKept(epoch, nowMs)) volume += settled * fading(epoch, nowMs);
  return volume;
};

/** What is held says now: a rating for each payer and exit, over all its weeks that still count. */
function ratingsOf(providers: ReadonlyMap<Hex, ReadonlyMap<Hex, Rater>>, nowMs: number): Ratings {
  const of = new Map<Hex, Rating[]>();
  const by = new Map<Hex, Rating[]>();
  const add = (map: Map<Hex, Rating[]>, key: Hex, rating: Rating) => {
    const known = map.get(key);
    if (known) known.push(rating);
    else map.set(key, [rating]);
  };
  for (const [provider, held] of providers)
    for (const [payer, { epochs }] of held) {
      const rating: Rating = { payer, provider, volume: 0, ok: 0, fail: 0 };
      for (const [epoch, { settled, sessions, fails }] of epochs) {
        if (!isKept(epoch, nowMs)) continue;
        const share = fading(epoch, nowMs);
        rating.volume += settled * share;
        rating.ok += (sessions - fails) * share;
        rating.fail += fails * share;
      }
      if (rating.volume <= 0) continue;
      add(of, provider, rating);
      add(by, payer, rating);
    }
  return { of: (provider) => of.get(provider) ?? [], by: (payer) => by.get(payer) ?? [] };
}
