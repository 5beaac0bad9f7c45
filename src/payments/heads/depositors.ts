import type { Clock } from "../../lib/clock.ts";
import type { Hex } from "../../lib/codec.ts";
import type { Op, Store } from "../../lib/store.ts";
import { readRecord } from "../records.ts";
import { settledInMs } from "./limits.ts";
import { depositorRecord } from "./records.ts";

/** What the contract's events say of accounts; in the order of the chain. */
export type AccountEvent = { signer: Hex; block: number } & (
  | { type: "deposited"; bond: bigint }
  | { type: "closing" }
  | { type: "bondBurned" }
);

/** Who has ever made a deposit, by the contract's events: only of these a head is looked at. On disk; asks no RPC. */
export type Depositors = {
  has(signer: Hex): Promise<boolean>;
  /** it has become known a moment ago, so that others may not know it yet */
  isNew(signer: Hex): boolean;
  /** whether it has at least this bond, and is not closing */
  isBonded(signer: Hex, bond: bigint): Promise<boolean>;
  /** @returns what to write, in one batch with the place up to which was read; what came above block `undoneAbove` is forgotten first */
  take(undoneAbove: number | undefined, events: AccountEvent[]): Promise<Op[]>;
};

type Depositor = { block: number; lastBlock: number; bond: bigint; closing: boolean };

const prefix = "depositor/";
/** those found lately are not looked up again */
const mostRemembered = 10_000;

export function openDepositors({ store, clock }: { store: Pick<Store, "table">; clock: Pick<Clock, "nowMs"> }): Depositors {
  const table = store.table("heads");
  const found = new Set<Hex>();
  const learnedMs = new Map<Hex, number>();
  const read = async (signer: Hex): Promise<Depositor | undefined> => {
    const bytes = await table.get(`${prefix}${signer}`);
    return bytes && readRecord(depositorRecord, bytes);
  };
  const isNew = (signer: Hex) => clock.nowMs() - (learnedMs.get(signer) ?? Number.NEGATIVE_INFINITY) < settledInMs;

  return {
    has: async (signer) => {
      if (found.has(signer)) return true;
      if (!(await read(signer))) return false;
      if (found.size >= mostRemembered) found.clear();
      found.add(signer);
      return true;
    },
    isNew,
    isBonded: async (signer, bond) => {
      const known = await read(signer);
      return known !== undefined && !known.closing && known.bond >= bond;
    },
    take: async (undoneAbove, events) => {
      const changed = new Map<Hex, Depositor | undefined>();
      if (undoneAbove !== undefined)
        for await (const [key, bytes] of table.entries(prefix)) {
          const known = readRecord(depositorRecord, bytes);
          const signer = key.slice(prefix.length) as Hex;
          if (known.lastBlock <= undoneAbove) continue;
          // Of several deposits only the sum is kept, and stays as it was: at worst one more exit counts as bonded.
          const left = { ...known, lastBlock: undoneAbove };
          changed.set(signer, known.block > undoneAbove ? undefined : left);
        }
      for (const event of events) {
        const { signer, block } = event;
        const known = changed.has(signer) ? changed.get(signer) : await read(signer);
        if (event.type === "deposited" && !known) learnedMs.set(signer, clock.nowMs());
        const { bond, ...rest } = known ?? { block, bond: 0n, closing: false };
        changed.set(signer, {
          ...rest,
          lastBlock: block,
          bond: event.type === "deposited" ? bond + event.bond : event.type === "bondBurned" ? 0n : bond,
          closing: rest.closing || event.type === "closing",
        });
      }
      for (const signer of learnedMs.keys()) if (!isNew(signer)) learnedMs.delete(signer);
      for (const [signer, left] of changed) if (!left) found.delete(signer);
      return [...changed].map(([signer, known]) =>
        known ? table.put(`${prefix}${signer}`, depositorRecord.encode(known)) : table.del(`${prefix}${signer}`),
      );
    },
  };
}
