import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import type { Logger } from "../lib/ports.ts";
import type { Store, Table } from "../lib/store.ts";
import { readRecord, recentSettlementRecord } from "./records.ts";
import type { Settlement } from "./settlement.ts";

export type RecentDeps = {
  settlement: Pick<Settlement, "isMined">;
  store: Pick<Store, "write">;
  /** where they are kept */
  table: Table;
  log: Logger;
  clock: Pick<Clock, "nowMs">;
};

/** A transaction that counted as final, and what it cleared. */
export type RecentSettlement = { hash: Hex; atMs: number; channels: string[] };

export type RecentSettlements = {
  note(settlement: Omit<RecentSettlement, "atMs">): Promise<void>;
  /**
   * Looks at those that a reorganisation could still undo; older ones are forgotten. One that is in no block any more is told to `undo`,
   * and forgotten when that is done. `ended`: look no further. @throws RPC_UNREACHABLE, and what `undo` throws
   */
  lookAfter(undo: (settlement: RecentSettlement) => Promise<void>, ended: () => boolean): Promise<void>;
};

/** no chain undoes more than this */
const keptMs = 3_600_000;
const prefix = "recent/";

/**
 * Settlements are looked after for an hour after they counted. Following the contract's events does not see each that is undone: a
 * reorganisation may end above the last block whose events were read, and below the one that the settler has seen.
 */
export function createRecentSettlements({ settlement, store, table, log, clock }: RecentDeps): RecentSettlements {
  const list = async () => {
    const kept: RecentSettlement[] = [];
    const over: string[] = [];
    for await (const [key, bytes] of table.entries(prefix)) {
      const recent = readRecord(recentSettlementRecord, bytes);
      if (Math.abs(clock.nowMs() - recent.atMs) < keptMs) kept.push(recent);
      else over.push(key);
    }
    if (over.length > 0) await store.write(over.map((key) => table.del(key)));
    return kept;
  };
  return {
    note: async (recent) => {
      const record = recentSettlementRecord.encode({ ...recent, atMs: clock.nowMs() });
      await store.write([table.put(`${prefix}${recent.hash}`, record)]);
    },
    lookAfter: async (undo, ended) => {
      for (const recent of await list()) {
        if (ended() || (await settlement.isMined(recent.hash))) continue;
        log.warn("a settlement is on chain no more; it is claimed anew", { hash: recent.hash });
        await undo(recent);
        await store.write([table.del(`${prefix}${recent.hash}`)]);
      }
    },
  };
}
