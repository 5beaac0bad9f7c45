import { z } from "zod";
import type { Clock } from "../lib/clock.ts";
import { cborCodec } from "../lib/codec.ts";
import { type Member, secretOrder, toEvict } from "../lib/sample.ts";
import type { Store } from "../lib/store.ts";
import { networkOf } from "./diversity.ts";

export type KnownPeer = { peer: string; addresses: string[] };

/** Peers that were met in this or an earlier run, so that a node finds the network again without its bootstrap peers. */
export type KnownPeers = {
  /** those first that were reached and seen lately; among these in an order that no peer can choose */
  all(): KnownPeer[];
  /** `reached`: we have dialled the first of the addresses; else they are what the peer says of itself */
  remember(peer: string, addresses: string[], reached: boolean): void;
  forget(peer: string): void;
  /** Writes what has changed. */
  save(): Promise<void>;
};

type Stored = { addresses: string[]; seenMs: number; reached: boolean };
type Entry = Stored & Pick<Member, "group" | "order">;

const maxPeers = 64;
const maxAddresses = 8;
/** a peer not seen for this long is no use any more */
const keepMs = 14 * 24 * 3_600_000;
const latelyMs = 2 * 24 * 3_600_000;
const codec = cborCodec(
  z.strictObject({ addresses: z.array(z.string().max(300)).max(maxAddresses), seenMs: z.number().int(), reached: z.boolean() }),
  4096,
);

/**
 * Reads the table `peer` of the store; entries that cannot be read or are too old are dropped. When there are too many, those go first that only
 * say where they are, then of the /24 or /48 that has most: whoever connects to us again and again does not displace the rest.
 */
export async function openKnownPeers(store: Pick<Store, "table" | "writeLazily">, clock: Pick<Clock, "nowMs">): Promise<KnownPeers> {
  const table = store.table("peer");
  const peers = new Map<string, Entry>();
  const changed = new Set<string>();
  const orderOf = secretOrder();
  const entryOf = (peer: string, stored: Stored): Entry => ({
    ...stored,
    group: networkOf(stored.addresses[0] ?? "") ?? "",
    order: orderOf(peer),
  });
  for await (const [peer, bytes] of table.entries()) {
    try {
      const entry = codec.decode(bytes);
      if (clock.nowMs() - entry.seenMs > keepMs) throw new Error("too old");
      peers.set(peer, entryOf(peer, entry));
    } catch {
      changed.add(peer);
    }
  }
  const memberOf = ([key, { seenMs, reached, group, order }]: [string, Entry]): Member => {
    const lately = clock.nowMs() - seenMs < latelyMs ? 1 : 0;
    return { key, group, order, weight: (reached ? 2 : 0) + lately };
  };
  const forget = (peer: string) => {
    if (peers.delete(peer)) changed.add(peer);
  };
  return {
    all: () =>
      [...peers]
        .map(memberOf)
        .sort((a, b) => b.weight - a.weight || a.order - b.order)
        .map(({ key }) => ({ peer: key, addresses: peers.get(key)?.addresses ?? [] })),
    remember: (peer, addresses, reached) => {
      if (addresses.length === 0) return;
      const before = peers.get(peer);
      const proven = before?.reached && !reached ? before.addresses.slice(0, 1) : [];
      const all = [...new Set([...proven, ...addresses])].slice(0, maxAddresses);
      peers.set(peer, entryOf(peer, { addresses: all, seenMs: clock.nowMs(), reached: reached || proven.length > 0 }));
      changed.add(peer);
      if (peers.size > maxPeers) for (const { key } of toEvict([...peers].map(memberOf), peers.size - maxPeers)) forget(key);
    },
    forget,
    save: async () => {
      if (changed.size === 0) return;
      const ops = [...changed].map((peer) => {
        const entry = peers.get(peer);
        if (!entry) return table.del(peer);
        const { addresses, seenMs, reached } = entry;
        return table.put(peer, codec.encode({ addresses, seenMs, reached }));
      });
      changed.clear();
      await store.writeLazily(ops);
    },
  };
}
