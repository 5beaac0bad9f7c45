import { z } from "zod";
import type { Sent } from "../chain/chain.ts";
import type { Hex } from "../lib/codec.ts";
import type { Store } from "../lib/store.ts";
import type { ClearingNetwork } from "../payments/eip712.ts";
import { wireHash } from "../payments/promise.ts";
import { hexBytes, ledgerTable, readRecord, record } from "../payments/records.ts";

/** A transaction of the wallet that is not known to be final, and what it was for. */
export type Unfinished = Sent & { intent: string };

const maxEarlier = 8;
const unfinishedRecord = record(
  {
    intent: z.string().max(300),
    step: z.enum(["approve", "deposit", "close", "withdraw", "collect", "move"]),
    nonce: z.number().int().nonnegative(),
    hash: wireHash,
    raw: hexBytes(10_000),
    earlier: z.array(hexBytes(10_000)).max(maxEarlier),
  },
  120_000,
);

/** The wallet's one transaction at a time, on disk before it goes out, so that whoever asks again goes on with it instead of sending another. */
export type WalletJournal = {
  read(): Promise<Unfinished | undefined>;
  keep(unfinished: Unfinished): Promise<void>;
  forget(): Promise<void>;
};

export function openWalletJournal(store: Pick<Store, "table" | "write">, network: ClearingNetwork, self: Hex): WalletJournal {
  const table = ledgerTable(store, "wallet", network, self);
  return {
    read: async () => {
      const bytes = await table.get("unfinished");
      return bytes && readRecord(unfinishedRecord, bytes);
    },
    keep: (unfinished) => store.write([table.put("unfinished", unfinishedRecord.encode(unfinished))]),
    forget: () => store.write([table.del("unfinished")]),
  };
}
