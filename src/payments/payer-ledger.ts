import type { Identity } from "../identity/identity.ts";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import type { Store } from "../lib/store.ts";
import type { ClearingDomain } from "./eip712.ts";
import type { SignedPromise } from "./promise.ts";
import type { AccountView } from "./settlement.ts";

/** One channel of ours to one provider. */
export type PayerChannel = {
  channel: Hex;
  /** the provider's address */
  provider: Hex;
  /** its peer id */
  peer: string;
  salt: Uint8Array;
  /** all ever promised on it, base units */
  cumulative: bigint;
  /** of it, used up by service; the rest is carried into the next session */
  consumed: bigint;
  /** the newest promise, to be sent again to the letter after a crash */
  last: SignedPromise | undefined;
  openedMs: number;
};

/**
 * - `unproven`: nothing is recorded, and the chain has not yet said whether the signer is new;
 * - `open`: may sign;
 * - `closing`: its close is under way, nothing more is signed;
 * - `behind`: more was signed with this key than is recorded here, nothing more is ever signed.
 */
export type PayerStanding = "unproven" | "open" | "closing" | "behind";

export type PromiseRequest = {
  channel: Hex;
  /** the channel's new cumulative; equal to the present one: the last promise is returned again */
  cumulative: bigint;
  /** base units used up so far, persisted along */
  consumed: bigint;
  /** all deposits of the account, as last read: no total goes over it */
  line: bigint;
};

/** What this node has promised: one signer, one ledger, one machine. */
export type PayerLedger = {
  totals(): { seq: bigint; total: bigint; standing: PayerStanding };
  channels(): PayerChannel[];
  channel(channel: Hex): PayerChannel | undefined;
  /** The channel in use with a provider, made with a fresh salt (and persisted) where there is none. */
  channelWith(provider: { address: Hex; peer: string }): Promise<PayerChannel>;
  /**
   * Signs the next promise of a channel. It is on disk when this resolves: only then may it be sent. Undefined when nothing has
   * been promised on the channel and nothing is asked for.
   * @throws INSUFFICIENT_FUNDS over `line`, ACCOUNT_CLOSING, LEDGER_BEHIND, STORE_FULL
   */
  promise(request: PromiseRequest): Promise<SignedPromise | undefined>;
  /** Records what is used up at a session's end; never falls, never exceeds the cumulative. */
  consume(channel: Hex, consumed: bigint): Promise<void>;
  /**
   * Holds the ledger against the chain: before the first promise after a start, and with each new view. `paid`: per channel, where known.
   * A new signer becomes `open` here.
   * @throws LEDGER_BEHIND when the chain knows of more than is recorded; it stays so
   */
  reconcile(account: Pick<AccountView, "line" | "balance">, paid?: ReadonlyMap<Hex, bigint>): Promise<void>;
  /**
   * Holds the ledger against a promise that somebody shows as ours.
   * @throws LEDGER_BEHIND when it bears our signature and the ledger lacks it; it stays so
   */
  shown(promise: SignedPromise): Promise<void>;
  /** For a key made just now, which nobody can have used: `open` without asking the chain. */
  begin(): Promise<void>;
  /** Nothing is signed once this resolves. */
  close(): Promise<void>;
};

export type PayerLedgerDeps = { store: Pick<Store, "table" | "write">; identity: Pick<Identity, "address" | "sign">; clock: Clock };

/** Reads the ledger of this signer on this contract. @throws STORE_CORRUPT */
export declare function openPayerLedger(deps: PayerLedgerDeps, domain: ClearingDomain): Promise<PayerLedger>;
