import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import type { Logger } from "../lib/ports.ts";
import type { Store } from "../lib/store.ts";
import type { ChannelRef, ProviderLedger } from "./provider-ledger.ts";
import type { Settlement } from "./settlement.ts";

export type SettlerDeps = {
  settlement: Settlement;
  ledger: ProviderLedger;
  store: Pick<Store, "table" | "write">;
  log: Logger;
  clock: Clock;
  /** where the money goes */
  payout: Hex;
};

export type SettlerOptions = {
  /** base units: a channel is cleared once this much is unsettled on it */
  settleAt: bigint;
  /** base units: less than this is left on a channel, unless clearing is asked for by hand; default 0 */
  dustBelow?: bigint;
  /** wait before the first new try after a failure; doubles up to 5 min; default 2 s */
  retryMs?: number;
};

/** One channel's part of a settlement that is on chain. */
export type SettledClaim = ChannelRef & {
  /** what this settlement paid on it, base units */ paid: bigint /** what the contract has paid in all */;
  paidInAll: bigint;
};
export type Settled = { hash: Hex; paid: bigint; claims: SettledClaim[] };

export type Settler = AsyncDisposable & {
  /** Sends again what a former run left unfinished and clears what it left unsettled; returns at once. */
  start(): void;
  /** After an accepted promise: clears the channel if it has reached the threshold. */
  consider(ref: ChannelRef): void;
  /** Clears a channel, or all that is unsettled, as soon as it can; returns at once. For session ends. */
  requestSettle(reason: string, ref?: ChannelRef): void;
  /** Clears all that is unsettled, dust too, and waits for it. @throws RPC_UNREACHABLE, INSUFFICIENT_GAS, TRANSACTION_FAILED (it stays queued) */
  settleNow(): Promise<{ hash?: Hex; claims: number; paid: bigint }>;
  onSettled(listener: (settled: Settled) => void): () => void;
  /** Ends without waiting for the chain; what is under way is taken up by the next start. */
  stop(): Promise<void>;
};

export declare function createSettler(deps: SettlerDeps, options: SettlerOptions): Settler;
