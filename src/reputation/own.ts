import { z } from "zod";
import type { Identity } from "../identity/identity.ts";
import type { RecordDomain } from "../identity/record.ts";
import type { Clock } from "../lib/clock.ts";
import { boundedBytes, cborCodec, type Hex } from "../lib/codec.ts";
import type { Op, Store, Table } from "../lib/store.ts";
import type { ClearedIndex } from "./cleared.ts";
import { epochOf, isKept } from "./epoch.ts";
import { encodePair, maxPairBytes, maxSalts, readPair, type SignedPair, signPair } from "./record.ts";
import type { Own } from "./score.ts";
import {
  egressOf,
  maxValues,
  nothingSeen,
  type OwnSession,
  ownOf,
  type Paid,
  recordsToTell,
  type Seen,
  together,
  type Untold,
  withSession,
} from "./telling.ts";

/** A channel of ours to an exit. */
export type OwnChannel = { provider: Hex; channel: Hex; salt: Uint8Array };

export type OwnDeps = {
  store: Pick<Store, "write" | "writeLazily">;
  /** of its own, of one key on one contract */
  table: Table;
  index: Pick<ClearedIndex, "byEpoch">;
  channels(): OwnChannel[];
  identity: Pick<Identity, "address" | "sign">;
  network: RecordDomain["network"];
  clock: Pick<Clock, "nowMs">;
  /** How long to wait, at random, before anything of an exit is told: nobody shall see when we used it. */
  delayMs(): number;
};

/** What this node has seen of exits itself, and what of it is to be told to others. */
export type OwnEvidence = {
  /** A session is over. */
  note(session: OwnSession): Promise<void>;
  /** our dealings with every exit, as they count now */
  all(): Promise<Own[]>;
  seen(provider: Hex): Seen;
  /** the exits that we have dealt with */
  providers(): Hex[];
  /**
   * Signs what there is to tell of exits whose time has come, at most `max` records, and has it on disk before it returns. `sent` is
   * told once a record is out; until then it comes again.
   */
  due(max: number): Promise<{ signed: SignedPair; sent(): Promise<void> }[]>;
  /** when the next of them comes, ms since the epoch */
  nextMs(): number | undefined;
  purge(): Promise<void>;
};

const values = z.array(z.number().int().min(0).max(65_535)).max(maxValues);
const count = z.number().int().min(0).max(65_535);
const seenCodec = cborCodec(
  z.strictObject({
    ...{ sessions: count, fails: count, mbps: values, rttMs: values, flags: z.number().int().min(0).max(255) },
    ...{ egressCountry: z.string().length(2).optional(), egressAsn: z.number().int().min(1).max(4_294_967_295).optional() },
  }),
  1_000,
);
/** What is left out on disk is left out here, too. */
function readSeen(bytes: Uint8Array): Seen {
  const { egressCountry, egressAsn, ...seen } = seenCodec.decode(Uint8Array.from(bytes));
  return {
    ...seen,
    ...egressOf({}, { ...(egressCountry !== undefined && { egressCountry }), ...(egressAsn !== undefined && { egressAsn }) }),
  };
}
const toldCodec = cborCodec(z.strictObject({ envelope: boundedBytes(maxPairBytes), out: z.boolean() }), maxPairBytes + 30);
const dueCodec = cborCodec(z.number().int().min(0), 20);
type Told = { signed: SignedPair; out: boolean };

/** when a record could not be handed to anybody, it is tried again after this */
const againMs = 10 * 60_000;

export async function openOwnEvidence(deps: OwnDeps): Promise<OwnEvidence> {
  const { store, table, index, identity, clock } = deps;
  const seen = new Map<Hex, Map<number, Seen>>();
  const told = new Map<string, Told>();
  const dueMs = new Map<Hex, number>();
  for await (const [key, bytes] of table.entries()) {
    const [kind, provider = "0x", epoch = ""] = key.split("/") as [string, Hex?, string?];
    try {
      if (kind === "seen") of(provider).set(Number(epoch), readSeen(bytes));
      else if (kind === "due") dueMs.set(provider, dueCodec.decode(Uint8Array.from(bytes)));
      else {
        const { envelope, out } = toldCodec.decode(Uint8Array.from(bytes));
        told.set(key, { signed: readPair(envelope), out });
      }
    } catch {
      // it can be seen and told anew
    }
  }
  function of(provider: Hex): Map<number, Seen> {
    const known = seen.get(provider) ?? new Map<number, Seen>();
    seen.set(provider, known);
    return known;
  }
  const seenRow = (provider: Hex, epoch: number, value: Seen) => table.put(`seen/${provider}/${epoch}`, seenCodec.encode(value));
  const setDue = (provider: Hex, atMs: number): Op => {
    dueMs.set(provider, atMs);
    return table.put(`due/${provider}`, dueCodec.encode(atMs));
  };
  const toldKey = ({ provider, epoch }: Untold) => `told/${provider}/${epoch}`;
  const toldRow = (key: string, { signed, out }: Told) => table.put(key, toldCodec.encode({ envelope: encodePair(signed), out }));

  const paidTo = async (provider: Hex): Promise<Map<number, Paid>> => {
    const byEpoch = new Map<number, { salt: Uint8Array; amount: bigint }[]>();
    for (const { channel, salt } of deps.channels().filter((one) => one.provider === provider))
      for (const [epoch, amount] of await index.byEpoch(identity.address, channel))
        byEpoch.set(epoch, [...(byEpoch.get(epoch) ?? []), { salt, amount }]);
    return new Map(
      [...byEpoch].map(([epoch, parts]) => {
        const largest = parts.sort((a, b) => (a.amount > b.amount ? -1 : 1)).slice(0, maxSalts);
        return [epoch, { amount: largest.reduce((sum, { amount }) => sum + amount, 0n), salts: largest.map(({ salt }) => salt) }];
      }),
    );
  };
  /** Under a number that is used for nothing else, also when the clock was set back. */
  const sign = (untold: Untold, before: Told | undefined): SignedPair => {
    const seq = Math.max(clock.nowMs(), (before?.signed.record.seq ?? -1) + 1);
    return signPair(identity, deps.network, { ...untold, payer: identity.address, seq });
  };
  const isSame = (untold: Untold, { signed }: Told): boolean => {
    const again = signPair({ sign: () => signed.signature }, deps.network, { ...untold, payer: identity.address, seq: signed.record.seq });
    return Buffer.compare(again.body, signed.body) === 0;
  };
  const providers = () => [...new Set([...seen.keys(), ...deps.channels().map(({ provider }) => provider)])];

  return {
    note: async (session) => {
      const { provider, endedMs } = session;
      const epoch = epochOf(endedMs);
      const next = withSession(of(provider).get(epoch) ?? nothingSeen, session);
      of(provider).set(epoch, next);
      const first = dueMs.has(provider) ? [] : [setDue(provider, clock.nowMs() + deps.delayMs())];
      await store.writeLazily([seenRow(provider, epoch, next), ...first]);
    },
    all: async () => {
      const nowMs = clock.nowMs();
      return Promise.all(
        providers().map(async (provider) => ownOf(provider, seen.get(provider) ?? new Map(), await paidTo(provider), nowMs)),
      );
    },
    seen: (provider) => {
      const weeks = [...(seen.get(provider) ?? [])].filter(([epoch]) => isKept(epoch, clock.nowMs())).map(([, value]) => value);
      return weeks.reduce(together, nothingSeen);
    },
    providers,
    due: async (max) => {
      const nowMs = clock.nowMs();
      const ready: { signed: SignedPair; sent(): Promise<void> }[] = [];
      for (const [provider] of [...dueMs].filter(([, atMs]) => atMs <= nowMs)) {
        if (ready.length >= max) break;
        const untold = recordsToTell(provider, seen.get(provider) ?? new Map(), await paidTo(provider), nowMs);
        const ops: Op[] = [];
        let isOut = true;
        for (const one of untold) {
          const key = toldKey(one);
          const before = told.get(key);
          const news = before && isSame(one, before) ? before : { signed: sign(one, before), out: false };
          if (news.out) continue;
          if (ready.length >= max) {
            isOut = false;
            break;
          }
          told.set(key, news);
          ops.push(toldRow(key, news));
          isOut = false;
          ready.push({ signed: news.signed, sent: () => markSent(key, news.signed) });
        }
        await store.write([...ops, setDue(provider, nowMs + (isOut ? deps.delayMs() : againMs))]);
      }
      return ready;
    },
    nextMs: () => (dueMs.size === 0 ? undefined : Math.min(...dueMs.values())),
    purge: async () => {
      const nowMs = clock.nowMs();
      const ops: Op[] = [];
      for (const [provider, weeks] of seen) {
        for (const epoch of [...weeks.keys()].filter((one) => !isKept(one, nowMs))) {
          weeks.delete(epoch);
          ops.push(table.del(`seen/${provider}/${epoch}`));
        }
        if (weeks.size > 0) continue;
        seen.delete(provider);
        dueMs.delete(provider);
        ops.push(table.del(`due/${provider}`));
      }
      for (const [key, { signed }] of told)
        if (!isKept(signed.record.epoch, nowMs)) {
          told.delete(key);
          ops.push(table.del(key));
        }
      if (ops.length > 0) await store.writeLazily(ops);
    },
  };

  async function markSent(key: string, signed: SignedPair): Promise<void> {
    if (told.get(key)?.signed !== signed) return;
    told.set(key, { signed, out: true });
    await store.writeLazily([toldRow(key, { signed, out: true })]);
  }
}
