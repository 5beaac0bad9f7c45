import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import type { Store } from "../lib/store.ts";
import type { Acceptance, ProviderLimits } from "./channel.ts";
import type { ClearingDomain } from "./eip712.ts";
import type { SignedPromise } from "./promise.ts";
import type { AccountView } from "./settlement.ts";

/** A channel at its provider. Two payers may choose one salt, so it takes both to name one. */
export type ChannelRef = { signer: Hex; channel: Hex };

/** One channel of a payer to us. */
export type ProviderChannel = ChannelRef & {
  /** the payer's peer id */
  peer: string;
  salt: Uint8Array;
  /** the newest promise, the only one that matters; undefined before the first */
  best: SignedPromise | undefined;
  /** best's cumulative, or 0 */
  cumulative: bigint;
  /** of it, used up by service */
  consumed: bigint;
  /** what the contract has paid on it */
  paid: bigint;
  /** the cumulative of a claim under way, or `paid` */
  claimed: bigint;
};

export type PromiseOffer = {
  signer: Hex;
  /** the payer's peer id */
  peer: string;
  salt: Uint8Array;
  promise: SignedPromise;
  /** base units used up on the channel so far, persisted along */
  consumed: bigint;
};

/** What others have promised to this node. */
export type ProviderLedger = {
  channel(ref: ChannelRef): ProviderChannel | undefined;
  channels(): ProviderChannel[];
  /** cumulative - paid over all channels of one payer, base units */
  unsettled(signer: Hex): bigint;
  /**
   * Decides on a promise (`acceptPromise`) and, when it is accepted, resolves once it is on disk: only then ack it or serve on it.
   * Promises that come while a write is under way share the next one.
   */
  accept(offer: PromiseOffer, conditions: { chainReachable: boolean; limits: ProviderLimits }): Promise<Acceptance>;
  /** Records what is used up at a session's end; never falls, never exceeds the cumulative. */
  consume(ref: ChannelRef, consumed: bigint): Promise<void>;
  /** Says that a claim up to `cumulative` is being collected; kept in memory only. */
  claiming(ref: ChannelRef, cumulative: bigint): void;
  /** What the contract has paid on a channel; never falls. Ends a claim under way. */
  settled(ref: ChannelRef, paid: bigint): Promise<void>;
  /** The payer's account as last read, also before a restart. */
  account(signer: Hex): AccountView | undefined;
  rememberAccount(signer: Hex, view: AccountView): Promise<void>;
};

export type ProviderLedgerDeps = { store: Pick<Store, "table" | "write">; self: Hex; clock: Clock };

/** Reads what was promised to `self` on this contract. @throws STORE_CORRUPT */
export declare function openProviderLedger(deps: ProviderLedgerDeps, domain: ClearingDomain): Promise<ProviderLedger>;
