import { z } from "zod";
import { peerAddress } from "../identity/peer.ts";
import { fixedBytes, type Hex, wireAddress, wireUint } from "../lib/codec.ts";
import { serially } from "../lib/lifecycle.ts";
import type { Op, Store, Table } from "../lib/store.ts";
import { wireCheck } from "../payments/check.ts";
import { channelId, saltBytes, wirePromise } from "../payments/promise.ts";
import { type ChannelRef, keyOf } from "../payments/provider-ledger.ts";
import { accountRecord, corrupt, readRecord, record } from "../payments/records.ts";
import type { Book, Clearable } from "../payments/settle-driver.ts";
import type { AccountView, ClaimCheck } from "../payments/settlement.ts";
import { maxWatchers } from "./protocol.ts";

/** A channel that is watched for its provider: its newest promise with the check for it. */
export type WatchedChannel = Clearable & {
  check: ClaimCheck;
  /** the provider's peer id */
  peer: string;
  place: number;
  /** when its first check came */
  takenMs: number;
};

const time = z.int().nonnegative();
const watchedRecord = record(
  {
    peer: z.string().max(100),
    signer: wireAddress,
    salt: fixedBytes(saltBytes),
    promise: wirePromise,
    check: wireCheck,
    place: z
      .int()
      .min(0)
      .max(maxWatchers - 1),
    paid: wireUint(96),
    takenMs: time,
  },
  1_000,
);

/** What a watcher keeps: channels, newest promise each, and their payers' accounts as last read. Written before it is known. */
export type Rows = Book<WatchedChannel> & {
  all(): WatchedChannel[];
  account(signer: Hex): AccountView | undefined;
  /** of a payer of which something is kept */
  remember(signer: Hex, view: AccountView): Promise<void>;
  /** Decides on a change, and makes it once it is on disk. One after another, so that what was decided on still stands. */
  change(decide: () => Change | undefined): Promise<void>;
};

export type Change = {
  keep?: WatchedChannel;
  /** of its payer */
  view?: AccountView;
  /** names of channels that are kept no more */
  drop?: string[];
};

/** Reads what is watched. @throws STORE_CORRUPT */
export async function openRows(store: Pick<Store, "write">, table: Table, self: Hex): Promise<Rows> {
  const rows = new Map<string, WatchedChannel>();
  const accounts = new Map<Hex, AccountView>();
  const inOrder = serially();

  for await (const [key, bytes] of table.entries("check/")) {
    const { promise, check, ...rest } = readRecord(watchedRecord, bytes);
    const { channel, cumulative } = promise;
    const provider = peerAddress(rest.peer);
    const row = { ...rest, channel, cumulative, best: promise, check: { ...check, provider } };
    if (channelId(provider, rest.salt) !== channel || key !== `check/${keyOf(row)}`)
      throw corrupt("a watched promise stands under another channel");
    rows.set(keyOf(row), row);
  }
  for await (const [key, bytes] of table.entries("account/"))
    accounts.set(key.slice("account/".length) as Hex, { closeAtMs: undefined, ...readRecord(accountRecord, bytes) });

  const put = (row: WatchedChannel): Op => {
    const { provider: _, ...check } = row.check;
    return table.put(`check/${keyOf(row)}`, watchedRecord.encode({ ...row, promise: row.best, check }));
  };
  const putAccount = (signer: Hex, view: AccountView): Op => table.put(`account/${signer}`, accountRecord.encode(view));
  const change: Rows["change"] = (decide) =>
    inOrder(async () => {
      const { keep, view, drop = [] } = decide() ?? {};
      const gone = drop.flatMap((key) => rows.get(key) ?? []);
      if (!keep && gone.length === 0) return;
      const stays = (signer: Hex) =>
        keep?.signer === signer || [...rows.values()].some((row) => row.signer === signer && !drop.includes(keyOf(row)));
      const signers = [...new Set(gone.map(({ signer }) => signer))].filter((signer) => !stays(signer));
      await store.write([
        ...gone.map((row) => table.del(`check/${keyOf(row)}`)),
        ...signers.map((signer) => table.del(`account/${signer}`)),
        ...(keep ? [put(keep)] : []),
        ...(keep && view ? [putAccount(keep.signer, view)] : []),
      ]);
      for (const row of gone) rows.delete(keyOf(row));
      for (const signer of signers) accounts.delete(signer);
      if (keep) rows.set(keyOf(keep), keep);
      if (keep && view) accounts.set(keep.signer, view);
    });

  return {
    self,
    channel: (ref: ChannelRef) => rows.get(keyOf(ref)),
    all: () => [...rows.values()],
    account: (signer) => accounts.get(signer),
    remember: (signer, view) =>
      inOrder(async () => {
        if (!accounts.has(signer)) return;
        await store.write([putAccount(signer, view)]);
        accounts.set(signer, view);
      }),
    change,
    claiming: () => undefined,
    settled: (ref, paid, reorganised = false) =>
      change(() => {
        const row = rows.get(keyOf(ref));
        return row && (paid > row.paid || (reorganised && paid < row.paid)) ? { keep: { ...row, paid } } : undefined;
      }),
  };
}
