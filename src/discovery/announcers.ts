import { z } from "zod";
import type { Clock } from "../lib/clock.ts";
import { cborCodec, type Hex } from "../lib/codec.ts";
import type { Op, Store } from "../lib/store.ts";
import { createQuota } from "../network/quota.ts";

/** Has whoever announces a bond on the chain? `unknown`: nobody has been asked yet, or nobody answered. */
export type Standing = "bonded" | "unbonded" | "unknown";

/** Who may announce: on a network that asks for it, those with a bond. Reading the chain is bounded, whoever announces whatever. */
export type Announcers = {
  /** as known now; asks nobody */
  standing(address: Hex): Standing;
  /** Finds out about those that are unknown, as far as the rate allows: those that come first go first. Never throws. */
  check(addresses: Iterable<Hex>, signal: AbortSignal): Promise<void>;
  /** The same as far as it can be found out here. */
  review(addresses: Iterable<Hex>): Promise<void>;
  /** Writes what has changed. */
  save(): Promise<void>;
};

/** On a network that asks for no bond everybody may announce. */
export const everybody: Announcers = {
  standing: () => "bonded",
  check: async () => undefined,
  review: async () => undefined,
  save: async () => undefined,
};

export type AnnouncersDeps = {
  store: Pick<Store, "table" | "writeLazily">;
  clock: Pick<Clock, "nowMs">;
  /** Has this account at least the network's bond, and is not closing? Rejects while no RPC answers. */
  isBonded(address: Hex): Promise<boolean>;
  /** Is it known here that it has, by the contract's events? Costs no question to an RPC. */
  registry?(address: Hex): Promise<boolean>;
};

/** What was found holds so long; who had no bond may have one soon. */
const bondedMs = 3_600_000;
const unbondedMs = 120_000;
/** With no RPC to ask, who had a bond lately counts on. */
const rememberedMs = 7 * 24 * 3_600_000;
const maxKnown = 20_000;
const maxKept = 5_000;
/** Questions to the chain. */
const askRate = { burst: 64, perSecond: 2 };
const atOnce = 16;
/** after one that nobody answered */
const pauseMs = 5_000;

type Known = { bonded: boolean; atMs: number };
const codec = cborCodec(z.number().int().nonnegative(), 20);

/** Reads the table `bonded`: who was seen with a bond, and when. */
export async function openAnnouncers({ store, clock, isBonded, registry = async () => false }: AnnouncersDeps): Promise<Announcers> {
  const table = store.table("bonded");
  const known = new Map<Hex, Known>();
  const asking = new Map<Hex, Promise<void>>();
  const changed = new Set<Hex>();
  const rate = createQuota(clock, askRate);
  let pausedUntilMs = 0;
  for await (const [address, bytes] of table.entries()) {
    try {
      known.set(address as Hex, { bonded: true, atMs: codec.decode(Uint8Array.from(bytes)) });
    } catch {
      changed.add(address as Hex);
    }
  }

  const isFresh = ({ bonded, atMs }: Known) => clock.nowMs() - atMs < (bonded ? bondedMs : unbondedMs);
  const learn = (address: Hex, bonded: boolean) => {
    if (bonded || known.get(address)?.bonded) changed.add(address);
    known.delete(address);
    known.set(address, { bonded, atMs: clock.nowMs() });
    if (known.size <= maxKnown) return;
    // those that have nothing go first: they cost nothing to make
    const last = [...known].find(([, { bonded }]) => !bonded) ?? [...known][0];
    if (last) known.delete(last[0]);
  };
  const ask = (address: Hex) => {
    const work = isBonded(address)
      .then(
        (bonded) => learn(address, bonded),
        () => {
          pausedUntilMs = clock.nowMs() + pauseMs;
        },
      )
      .finally(() => asking.delete(address));
    asking.set(address, work);
    return work;
  };

  const staleOf = (addresses: Iterable<Hex>): Hex[] =>
    [...new Set(addresses)].filter((address) => {
      const entry = known.get(address);
      return !entry || !isFresh(entry);
    });
  const review = async (addresses: Iterable<Hex>) => {
    for (const address of staleOf(addresses)) if (await registry(address).catch(() => false)) learn(address, true);
  };

  return {
    review,
    standing: (address) => {
      const entry = known.get(address);
      if (!entry) return "unknown";
      if (entry.bonded) return clock.nowMs() - entry.atMs < rememberedMs ? "bonded" : "unknown";
      return isFresh(entry) ? "unbonded" : "unknown";
    },
    check: async (addresses, signal) => {
      await review(addresses);
      const stale = staleOf(addresses);
      const next = async (): Promise<void> => {
        for (let address = stale.shift(); address !== undefined && !signal.aborted; address = stale.shift()) {
          if (clock.nowMs() < pausedUntilMs) return;
          const running = asking.get(address);
          if (!running && !rate.take("")) return;
          await (running ?? ask(address));
        }
      };
      const gone = new Promise<void>((resolve) => {
        if (signal.aborted) resolve();
        else signal.addEventListener("abort", () => resolve(), { once: true });
      });
      await Promise.race([Promise.all(Array.from({ length: Math.min(atOnce, stale.length) }, next)), gone]);
    },
    save: async () => {
      const nowMs = clock.nowMs();
      const kept = [...known].filter(([, { bonded, atMs }]) => bonded && nowMs - atMs < rememberedMs).slice(-maxKept);
      const keep = new Map(kept);
      const ops: Op[] = [...changed].map((address) => {
        const entry = keep.get(address);
        return entry ? table.put(address, codec.encode(entry.atMs)) : table.del(address);
      });
      changed.clear();
      if (ops.length > 0) await store.writeLazily(ops);
    },
  };
}
