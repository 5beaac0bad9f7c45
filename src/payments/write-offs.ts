import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/ports.ts";
import type { Store } from "../lib/store.ts";
import { keyOf, type ProviderChannel, type ProviderLedger } from "./provider-ledger.ts";
import { ledgerTable, readRecord, writeOffRecord } from "./records.ts";

export type WriteOffDeps = {
  ledger: Pick<ProviderLedger, "self" | "network" | "channels">;
  store: Pick<Store, "table" | "write">;
  log: Logger;
  clock: Clock;
};

export type WriteOffs = {
  /** Notes what is given up on a channel, on disk and in the log, once for each amount. */
  note(lost: { channel: ProviderChannel; amount: bigint }[]): Promise<void>;
  /** base units given up in all; what was paid after all counts no more */
  total(): Promise<bigint>;
};

const prefix = "writtenOff/";

/** What a provider will not get: kept, so that the sum of what was promised is always accounted for. */
export function createWriteOffs({ ledger, store, log, clock }: WriteOffDeps): WriteOffs {
  const table = ledgerTable(store, "settler", ledger.network, ledger.self);
  const noted = new Map<string, bigint>();
  const load = async () => {
    for await (const [key, bytes] of table.entries(prefix))
      if (!noted.has(key.slice(prefix.length))) noted.set(key.slice(prefix.length), readRecord(writeOffRecord, bytes).amount);
  };
  let loading: Promise<void> | undefined;
  const loaded = () => {
    loading ??= load().catch((error) => {
      loading = undefined;
      throw error;
    });
    return loading;
  };
  return {
    note: async (lost) => {
      if (lost.length === 0) return;
      await loaded();
      const fresh = lost.filter(({ channel, amount }) => noted.get(keyOf(channel)) !== amount);
      if (fresh.length === 0) return;
      await store.write(
        fresh.map(({ channel, amount }) => table.put(`${prefix}${keyOf(channel)}`, writeOffRecord.encode({ amount, atMs: clock.nowMs() }))),
      );
      for (const { channel, amount } of fresh) {
        noted.set(keyOf(channel), amount);
        log.warn("written off: it is not worth its gas, or its payer has nothing left", { channel: channel.channel, amount });
      }
    },
    total: async () => {
      await loaded();
      let sum = 0n;
      for (const channel of ledger.channels()) {
        const [amount = 0n, open] = [noted.get(keyOf(channel)), channel.cumulative - channel.paid];
        sum += open < amount ? (open > 0n ? open : 0n) : amount;
      }
      return sum;
    },
  };
}
