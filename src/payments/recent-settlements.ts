import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import type { Store } from "../lib/store.ts";
import type { ProviderLedger } from "./provider-ledger.ts";
import { ledgerTable, readRecord, recentSettlementRecord } from "./records.ts";

export type RecentDeps = {
  ledger: Pick<ProviderLedger, "self" | "network">;
  store: Pick<Store, "table" | "write">;
  clock: Clock;
};

/** A transaction that counted as final, and what it cleared. */
export type RecentSettlement = { hash: Hex; atMs: number; channels: string[] };

export type RecentSettlements = {
  note(settlement: Omit<RecentSettlement, "atMs">): Promise<void>;
  /** those that a reorganisation could still undo; older ones are forgotten */
  list(): Promise<RecentSettlement[]>;
  forget(hash: Hex): Promise<void>;
};

/** no chain undoes more than this */
const keptMs = 3_600_000;
const prefix = "recent/";

/**
 * Settlements are looked after for an hour after they counted. Following the contract's events does not see each that is undone: a
 * reorganisation may end above the last block whose events were read, and below the one that the settler has seen.
 */
export function createRecentSettlements({ ledger, store, clock }: RecentDeps): RecentSettlements {
  const table = ledgerTable(store, "settler", ledger.network, ledger.self);
  return {
    note: async (settlement) => {
      const record = recentSettlementRecord.encode({ ...settlement, atMs: clock.nowMs() });
      await store.write([table.put(`${prefix}${settlement.hash}`, record)]);
    },
    list: async () => {
      const kept: RecentSettlement[] = [];
      const over: string[] = [];
      for await (const [key, bytes] of table.entries(prefix)) {
        const settlement = readRecord(recentSettlementRecord, bytes);
        if (Math.abs(clock.nowMs() - settlement.atMs) < keptMs) kept.push(settlement);
        else over.push(key);
      }
      if (over.length > 0) await store.write(over.map((key) => table.del(key)));
      return kept;
    },
    forget: (hash) => store.write([table.del(`${prefix}${hash}`)]),
  };
}
