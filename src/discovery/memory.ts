import { z } from "zod";
import type { Clock } from "../lib/clock.ts";
import { boundedBytes, cborCodec } from "../lib/codec.ts";
import { type Member, secretOrder, toEvict } from "../lib/sample.ts";
import type { Op, Store } from "../lib/store.ts";
import type { OfferQuery } from "./discovery.ts";
import { encodeOffer, maxOfferBytes, type Offer, readOffer, type SignedOffer } from "./offer.ts";
import { matches } from "./rank.ts";

/** Exits by their last offers, long after these have expired: where to ask first when nobody else is left to ask. */
export type Memory = {
  /** Where to ask for what is wanted: those that were used before first, then the ones seen last. Prices may have changed and do not count. */
  recall(query: OfferQuery): { peer: string; addresses: string[] }[];
  /** Keeps what is current, in so far as it is news. */
  note(offers: Iterable<SignedOffer>): void;
  has(peer: string): boolean;
  /** An exit goes on under another key: it is most likely where it was. */
  moved(from: string, to: string): void;
  /** This node has had a session with it: it is kept before others. */
  used(peer: string): void;
  save(): Promise<void>;
};

type Entry = { signed: SignedOffer; seenMs: number; used: boolean; order: number };

const maxExits = 256;
const keepMs = 30 * 24 * 3_600_000;
/** what has not changed is written again this often at most */
const renewMs = 3_600_000;
const rowCodec = cborCodec(
  z.strictObject({ envelope: boundedBytes(maxOfferBytes), seenMs: z.number().int().nonnegative(), used: z.boolean() }),
  maxOfferBytes + 100,
);

/** Opens the table `exit`. The offers in it are believed no more than any others: each exit is asked for its present one. */
export async function openMemory(
  { store, clock }: { store: Pick<Store, "table" | "writeLazily">; clock: Pick<Clock, "nowMs"> },
  most = maxExits,
): Promise<Memory> {
  const table = store.table("exit");
  const entries = new Map<string, Entry>();
  const changed = new Set<string>();
  const orderOf = secretOrder();
  for await (const [peer, bytes] of table.entries()) {
    try {
      const { envelope, seenMs, used } = rowCodec.decode(Uint8Array.from(bytes));
      if (clock.nowMs() - seenMs > keepMs) throw new Error("too old");
      entries.set(peer, { signed: movedTo(peer, readOffer(envelope)), seenMs, used, order: orderOf(peer) });
    } catch {
      changed.add(peer);
    }
  }
  const drop = (peer: string) => {
    entries.delete(peer);
    changed.add(peer);
  };
  const keep = (peer: string, entry: Entry) => {
    entries.set(peer, entry);
    changed.add(peer);
  };
  const memberOf = ([peer, { signed, used, order }]: [string, Entry]): Member => ({
    key: peer,
    group: signed.offer.country,
    weight: used ? 1 : 0,
    order,
  });
  const isNews = (entry: Entry | undefined, { offer }: SignedOffer, nowMs: number) =>
    !entry || nowMs - entry.seenMs > renewMs || where(entry.signed.offer) !== where(offer);

  return {
    recall: (query) =>
      [...entries.values()]
        .filter(({ signed }) => matches(signed.offer, { ...query, maxPerGiB: undefined, maxPerHour: undefined }))
        .sort((a, b) => Number(b.used) - Number(a.used) || b.seenMs - a.seenMs || a.order - b.order)
        .map(({ signed }) => ({ peer: signed.offer.peer, addresses: signed.offer.addresses })),
    has: (peer) => entries.has(peer),
    moved: (from, to) => {
      const entry = entries.get(from);
      if (!entry) return;
      drop(from);
      if (!entries.has(to)) keep(to, { ...entry, signed: movedTo(to, entry.signed) });
    },
    note: (offers) => {
      const nowMs = clock.nowMs();
      for (const signed of offers) {
        const { peer, services } = signed.offer;
        const entry = entries.get(peer);
        if (services.length === 0 || !isNews(entry, signed, nowMs)) continue;
        keep(peer, { signed, seenMs: nowMs, used: entry?.used ?? false, order: entry?.order ?? orderOf(peer) });
      }
      for (const { key } of toEvict([...entries].map(memberOf), entries.size - most)) drop(key);
    },
    used: (peer) => {
      const entry = entries.get(peer);
      if (entry && !entry.used) keep(peer, { ...entry, used: true });
    },
    save: async () => {
      const ops: Op[] = [...changed].map((peer) => {
        const entry = entries.get(peer);
        if (!entry) return table.del(peer);
        const { signed, seenMs, used } = entry;
        return table.put(peer, rowCodec.encode({ envelope: encodeOffer(signed), seenMs, used }));
      });
      changed.clear();
      if (ops.length > 0) await store.writeLazily(ops);
    },
  };
}

/** An offer as it is remembered of whoever has taken its peer's place; what was signed stays as it is. */
function movedTo(peer: string, signed: SignedOffer): SignedOffer {
  const { offer } = signed;
  const addresses = offer.addresses.map((address) => address.replace(`/p2p/${offer.peer}`, `/p2p/${peer}`));
  return { ...signed, offer: { ...offer, peer, addresses } };
}

const where = ({ addresses, country, services }: Offer): string => JSON.stringify([addresses, country, services.map(({ kind }) => kind)]);
