import { z } from "zod";
import type { Clock } from "../lib/clock.ts";
import { cborCodec } from "../lib/codec.ts";
import type { Store } from "../lib/store.ts";

export type KnownPeer = { peer: string; addresses: string[] };

/** Peers that were reached in this or an earlier run, so that a node finds the network again without its bootstrap peers. */
export type KnownPeers = {
  /** the one seen last comes first */
  all(): KnownPeer[];
  remember(peer: string, addresses: string[]): void;
  forget(peer: string): void;
  /** Writes what has changed. */
  save(): Promise<void>;
};

const maxPeers = 64;
const maxAddresses = 8;
/** a peer not seen for this long is no use any more */
const keepMs = 14 * 24 * 3_600_000;
const codec = cborCodec(z.strictObject({ addresses: z.array(z.string().max(300)).max(maxAddresses), seenMs: z.number().int() }), 4096);

/** Reads the table `peer` of the store; entries that cannot be read or are too old are dropped. */
export async function openKnownPeers(store: Pick<Store, "table" | "writeLazily">, clock: Pick<Clock, "nowMs">): Promise<KnownPeers> {
  const table = store.table("peer");
  const peers = new Map<string, { addresses: string[]; seenMs: number }>();
  const changed = new Set<string>();
  for await (const [peer, bytes] of table.entries()) {
    try {
      const entry = codec.decode(bytes);
      if (clock.nowMs() - entry.seenMs > keepMs) throw new Error("too old");
      peers.set(peer, entry);
    } catch {
      changed.add(peer);
    }
  }
  const newestFirst = () => [...peers].sort(([, a], [, b]) => b.seenMs - a.seenMs);
  const forget = (peer: string) => {
    if (peers.delete(peer)) changed.add(peer);
  };
  return {
    all: () => newestFirst().map(([peer, { addresses }]) => ({ peer, addresses })),
    remember: (peer, addresses) => {
      if (addresses.length === 0) return;
      peers.set(peer, { addresses: addresses.slice(0, maxAddresses), seenMs: clock.nowMs() });
      changed.add(peer);
      for (const [oldest] of newestFirst().slice(maxPeers)) forget(oldest);
    },
    forget,
    save: async () => {
      if (changed.size === 0) return;
      const ops = [...changed].map((peer) => {
        const entry = peers.get(peer);
        return entry ? table.put(peer, codec.encode(entry)) : table.del(peer);
      });
      changed.clear();
      await store.writeLazily(ops);
    },
  };
}
