import { z } from "zod";
import type { Clock } from "../lib/clock.ts";
import { cborCodec } from "../lib/codec.ts";
import type { Store } from "../lib/store.ts";

/** Where the traffic of an exit's clients came out, as peers have seen it who were asked through a session with it. */
export type Egress = { address: string; observers: number; atMs: number };

/** The exits' egress, as last seen, through restarts. */
export type SeenEgress = {
  of(peer: string): Egress | undefined;
  note(peer: string, egress: Egress): Promise<void>;
};

/** an exit may move; what is older says nothing of where it is now */
const keepMs = 30 * 86_400_000;
const most = 1_000;
const codec = cborCodec(
  z.strictObject({ address: z.string().max(45), observers: z.number().int().min(1).max(100), atMs: z.number().int().min(0) }),
  128,
);

/** Reads the table `egress`. */
export async function openSeenEgress(store: Pick<Store, "table" | "writeLazily">, clock: Pick<Clock, "nowMs">): Promise<SeenEgress> {
  const table = store.table("egress");
  const seen = new Map<string, Egress>();
  for await (const [peer, bytes] of table.entries()) {
    try {
      seen.set(peer, codec.decode(Uint8Array.from(bytes)));
    } catch {
      // it is seen anew with the next session
    }
  }
  const isGone = ({ atMs }: Egress) => clock.nowMs() - atMs > keepMs;
  return {
    of: (peer) => {
      const egress = seen.get(peer);
      return egress && !isGone(egress) ? egress : undefined;
    },
    note: async (peer, egress) => {
      seen.set(peer, egress);
      const oldest = [...seen].sort(([, a], [, b]) => a.atMs - b.atMs).slice(0, Math.max(0, seen.size - most));
      const gone = [...new Set([...oldest, ...[...seen].filter(([, one]) => isGone(one))].map(([name]) => name))];
      for (const name of gone) seen.delete(name);
      await store.writeLazily([table.put(peer, codec.encode(egress)), ...gone.map((name) => table.del(name))]);
    },
  };
}
