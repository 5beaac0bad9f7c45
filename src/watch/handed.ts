import { z } from "zod";
import { larger } from "../lib/bigint.ts";
import { wireUint } from "../lib/codec.ts";
import type { Op, Store } from "../lib/store.ts";
import { type SignedCheck, wireCheck } from "../payments/check.ts";
import type { ClearingNetwork } from "../payments/eip712.ts";
import { type SignedPromise, wirePromise } from "../payments/promise.ts";
import { type ChannelRef, keyOf, type ProviderChannel } from "../payments/provider-ledger.ts";
import { ledgerTable, readRecord, record } from "../payments/records.ts";

/** What one watcher has been handed for a channel. */
export type HandedTo = {
  peer: string;
  /** the newest that was signed for it, with its promise */
  promise: SignedPromise;
  check: SignedCheck;
  /** the cumulative that it has said it keeps, base units; 0 before any */
  kept: bigint;
  /** until when that is good, s since the epoch */
  keptUntil: bigint;
};

/** How much of a channel is watched at least by whom of those that have said so, and until when. */
export type WatchedView = { amount: bigint; by: string[]; untilMs: number };

/** The checks that this provider has signed: on disk before they are handed out. */
export type Handed = {
  to(ref: ChannelRef, peer: string): HandedTo | undefined;
  /** peers that keep something, those with the most first */
  keepers(nowMs: number): string[];
  /** Writes these down in one go, each in place of what the same peer had of the same channel. */
  note(notes: { ref: ChannelRef; handed: HandedTo }[]): Promise<void>;
  /** Forgets what is of no use any more: its check has ended, or as much is paid. */
  tidy(paidOf: (ref: ChannelRef) => bigint, nowMs: number): Promise<void>;
  watched(channel: Pick<ProviderChannel, "signer" | "channel" | "cumulative" | "paid">, nowMs: number): WatchedView | undefined;
};

/** watchers of a channel that are remembered, those of the past included */
const maxKept = 8;
const handedRecord = record(
  {
    checks: z
      .array(
        z.strictObject({
          peer: z.string().max(100),
          promise: wirePromise,
          check: wireCheck,
          kept: wireUint(96),
          keptUntil: wireUint(40),
        }),
      )
      .max(maxKept),
  },
  8_000,
);

/** Reads what was handed out on this contract. @throws STORE_CORRUPT */
export async function openHanded(store: Pick<Store, "table" | "write">, network: ClearingNetwork, self: `0x${string}`): Promise<Handed> {
  const table = ledgerTable(store, "handed", network, self);
  const channels = new Map<string, HandedTo[]>();
  for await (const [key, bytes] of table.entries()) channels.set(key, readRecord(handedRecord, bytes).checks);

  const write = async (changes: Map<string, HandedTo[]>) => {
    const ops = [...changes].map(
      ([key, checks]): Op => (checks.length > 0 ? table.put(key, handedRecord.encode({ checks })) : table.del(key)),
    );
    if (ops.length > 0) await store.write(ops);
    for (const [key, checks] of changes) {
      if (checks.length > 0) channels.set(key, checks);
      else channels.delete(key);
    }
  };
  const isKept = ({ kept, keptUntil }: HandedTo, nowMs: number) => kept > 0n && Number(keptUntil) * 1000 > nowMs;

  return {
    to: (ref, peer) => channels.get(keyOf(ref))?.find((handed) => handed.peer === peer),
    keepers: (nowMs) => {
      const counts = new Map<string, number>();
      for (const checks of channels.values())
        for (const handed of checks) if (isKept(handed, nowMs)) counts.set(handed.peer, (counts.get(handed.peer) ?? 0) + 1);
      return [...counts].sort(([, a], [, b]) => b - a).map(([peer]) => peer);
    },
    note: async (notes) => {
      const changes = new Map<string, HandedTo[]>();
      for (const { ref, handed } of notes) {
        const had = changes.get(keyOf(ref)) ?? channels.get(keyOf(ref)) ?? [];
        changes.set(keyOf(ref), [handed, ...had.filter(({ peer }) => peer !== handed.peer)].slice(0, maxKept));
      }
      await write(changes);
    },
    tidy: async (paidOf, nowMs) => {
      const changes = new Map<string, HandedTo[]>();
      for (const [key, checks] of channels) {
        const [signer, channel] = key.split("/") as [`0x${string}`, `0x${string}`];
        const paid = paidOf({ signer, channel });
        const left = checks.filter(({ promise, check }) => promise.cumulative > paid && Number(check.deadline) * 1000 > nowMs);
        if (left.length < checks.length) changes.set(key, left);
      }
      await write(changes);
    },
    watched: ({ signer, channel, cumulative, paid }, nowMs) => {
      const keeping = (channels.get(keyOf({ signer, channel })) ?? []).filter((handed) => isKept(handed, nowMs) && handed.kept > paid);
      if (keeping.length === 0) return undefined;
      const most = keeping.reduce((sum, { kept }) => larger(sum, kept), 0n);
      const holders = keeping.filter(({ kept }) => kept === most);
      return {
        amount: (most < cumulative ? most : cumulative) - paid,
        by: keeping.map(({ peer }) => peer).sort(),
        untilMs: Math.max(...holders.map(({ keptUntil }) => Number(keptUntil) * 1000)),
      };
    },
  };
}
