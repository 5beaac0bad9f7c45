import { z } from "zod";
import { cborCodec, type Hex, wireUint } from "../lib/codec.ts";
import type { Op, Table } from "../lib/store.ts";
import { epochOf, fading, isKept, keptEpochs } from "./epoch.ts";

/** The contract's events as far as they matter here; `timeMs` is their block's. */
export type ClearedEvent = { block: number; logIndex: number; timeMs: number } & (
  | { type: "cleared"; signer: Hex; channel: Hex; paid: bigint }
  | { type: "deposited"; signer: Hex; bond: bigint }
  | { type: "closing" | "bondBurned"; signer: Hex }
);

/** What a round of reading has found: first forget what came from blocks above `rolledBackTo`, then take in the events. */
export type ClearedBatch = { rolledBackTo: number | undefined; events: ClearedEvent[] };

/**
 * What the contract has cleared, by payer, channel and week, and what has been put up as bond: read once from its events and kept on
 * disk, so that no record costs a question to an RPC. It grows with what others pay gas for; what was cleared over 13 weeks ago goes.
 */
export type ClearedIndex = {
  /** Writes that belong on disk together with the reader's cursor. A row is one event: the same again changes nothing. */
  apply(batch: ClearedBatch): Promise<Op[]>;
  /** base units cleared from this payer on this channel in that week */
  inEpoch(payer: Hex, channel: Hex, epoch: number): Promise<bigint>;
  /** the same for each week in which there was anything */
  byEpoch(payer: Hex, channel: Hex): Promise<Map<number, bigint>>;
  /** Has this payer cleared anything with anybody in the weeks that count? */
  hasCleared(payer: Hex): Promise<boolean>;
  /**
   * What backs an account: its bond, and base units x ms over which it has stood so far, each part for 90 days at most. What was burned
   * is gone, and all of it once the account closes.
   */
  stake(signer: Hex, nowMs: number): Promise<Stake>;
  /** Writes that take out what counts no more. */
  purge(nowMs: number): Promise<Op[]>;
};

export type Stake = { bond: bigint; aged: bigint };

/** Stake gains by age up to this. */
export const fullAgeMs = 90 * 86_400_000;

const amount = cborCodec(wireUint(128), 40);
const bonding = cborCodec(z.strictObject({ bond: wireUint(128), timeMs: z.number().int().nonnegative() }), 80);
const digits = (value: number, width: number) => String(value).padStart(width, "0");
const at = ({ block, logIndex }: { block: number; logIndex: number }) => `${digits(block, 12)}/${digits(logIndex, 6)}`;
const blockOf = (key: string) => Number(key.split("/").at(-2));
/** where in the chain, so that it sorts */
const placeOf = (key: string) => key.split("/").slice(-2).join("/");

/** @param table of its own, of one contract */
export function createClearedIndex(table: Table): ClearedIndex {
  const rowOf = (event: ClearedEvent): Op[] => {
    switch (event.type) {
      case "cleared":
        if (event.paid === 0n) return [];
        return [
          table.put(`cleared/${event.signer}/${event.channel}/${digits(epochOf(event.timeMs), 6)}/${at(event)}`, amount.encode(event.paid)),
        ];
      case "deposited":
        if (event.bond === 0n) return [];
        return [table.put(`bond/${event.signer}/${at(event)}`, bonding.encode({ bond: event.bond, timeMs: event.timeMs }))];
      case "closing":
      case "bondBurned":
        return [table.put(`${event.type}/${event.signer}/${at(event)}`, new Uint8Array())];
    }
  };
  const keysWhere = async (prefix: string, goes: (key: string) => boolean): Promise<Op[]> => {
    const ops: Op[] = [];
    for await (const [key] of table.entries(prefix)) if (goes(key)) ops.push(table.del(key));
    return ops;
  };
  const sum = async (prefix: string): Promise<bigint> => {
    let total = 0n;
    for await (const [, bytes] of table.entries(prefix)) total += amount.decode(Uint8Array.from(bytes));
    return total;
  };
  const any = async (prefix: string): Promise<boolean> => {
    for await (const _ of table.entries(prefix)) return true;
    return false;
  };
  return {
    apply: async ({ rolledBackTo, events }) => [
      // rare enough to look through everything for it
      ...(rolledBackTo === undefined ? [] : await keysWhere("", (key) => blockOf(key) > rolledBackTo)),
      ...events.flatMap(rowOf),
    ],
    inEpoch: (payer, channel, epoch) => sum(`cleared/${payer}/${channel}/${digits(epoch, 6)}/`),
    byEpoch: async (payer, channel) => {
      const prefix = `cleared/${payer}/${channel}/`;
      const found = new Map<number, bigint>();
      for await (const [key, bytes] of table.entries(prefix)) {
        const epoch = Number(key.slice(prefix.length).split("/")[0]);
        found.set(epoch, (found.get(epoch) ?? 0n) + amount.decode(Uint8Array.from(bytes)));
      }
      return found;
    },
    hasCleared: (payer) => any(`cleared/${payer}/`),
    stake: async (signer, nowMs) => {
      let [bond, aged] = [0n, 0n];
      if (await any(`closing/${signer}/`)) return { bond, aged };
      let burned = "";
      for await (const [key] of table.entries(`bondBurned/${signer}/`)) burned = placeOf(key);
      for await (const [key, bytes] of table.entries(`bond/${signer}/`)) {
        if (placeOf(key) < burned) continue;
        const { bond: part, timeMs } = bonding.decode(Uint8Array.from(bytes));
        bond += part;
        aged += part * BigInt(Math.min(Math.max(0, nowMs - timeMs), fullAgeMs));
      }
      return { bond, aged };
    },
    purge: (nowMs) => keysWhere("cleared/", (key) => Number(key.split("/")[3]) <= epochOf(nowMs) - keptEpochs),
  };
}

/** What was cleared from a payer on these channels, each week fading with its age: by this raters of one exit are put in order. */
export async function backing(index: Pick<ClearedIndex, "byEpoch">, payer: Hex, channels: Hex[], nowMs: number): Promise<number> {
  let total = 0;
  for (const channel of channels)
    for (const [epoch, paid] of await index.byEpoch(payer, channel)) if (isKept(epoch, nowMs)) total += Number(paid) * fading(epoch, nowMs);
  return total;
}
