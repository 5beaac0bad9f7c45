import type { Hex } from "../lib/codec.ts";
import type { SignedCheck } from "./check.ts";
import type { ClearingCosts } from "./clearing-policy.ts";

/** An account on the contract as of a final block. Amounts in base units of the network's token. */
export type AccountView = {
  balance: bigint;
  /** all deposits ever made; a promise's total may not exceed it */
  line: bigint;
  bond: bigint;
  /** ms since the epoch when the payer may withdraw, or undefined while it is not closing */
  closeAtMs: number | undefined;
  owner: Hex;
  /** when this was read */
  readAtMs: number;
};

/** One promise, ready to be turned into money: for ourselves, or by its check for another provider. */
export type Claim = {
  signer: Hex;
  salt: Uint8Array;
  cumulative: bigint;
  total: bigint;
  seq: bigint;
  signature: Uint8Array;
  check?: ClaimCheck | undefined;
};
export type ClaimCheck = SignedCheck & { provider: Hex };

export type Receipt = {
  hash: Hex;
  /** per claim of the batch, in order: what this transaction paid for it; 0 when it was skipped */
  paid: bigint[];
  /** what the token did not let through of it, or of our fee for it: the contract keeps it for whom it was for until it is collected */
  credited: bigint;
};

export type PreparedTransaction = { raw: Hex; hash: Hex; nonce: number };

/** What payments need of a chain; chain/ fulfils it. Every call has a deadline of its own and throws RPC_UNREACHABLE. */
export type Settlement = {
  account(signer: Hex): Promise<AccountView>;
  /** what the contract has paid so far on a channel */
  paid(signer: Hex, channel: Hex): Promise<bigint>;
  /** whether a transaction is in a block of the chain as it is now */
  isMined(hash: Hex): Promise<boolean>;
  /** what gas costs now; needs no RPC where gas is free */
  costs(): Promise<ClearingCosts>;
  /**
   * Makes and signs the transaction without sending it, so that it can be on disk first. Its nonce is the account's next one that
   * no prepared transaction holds: from here until its `submit` ends nobody else in this process gets it.
   * @param limits `maxCost`: base units that its gas may cost at most, default whatever it takes; `nonce`: of a transaction that it replaces
   * @throws INSUFFICIENT_GAS, GAS_PRICE_HIGH when it would cost more than `maxCost` now
   */
  prepareSettle(claims: Claim[], to: Hex, limits?: { maxCost?: bigint | undefined; nonce?: number }): Promise<PreparedTransaction>;
  /**
   * The same transaction under the same nonce with fees that the chain takes now, signed and not sent; undefined while its present
   * ones do, or where more would cost more than `maxCost`. Both may be mined, but only one of them.
   */
  raise(raw: Hex, maxCost?: bigint): Promise<PreparedTransaction | undefined>;
  /**
   * Sends a raw transaction (again) and waits for its receipt, or that of one of the `earlier` ones of its nonce, and the network's
   * confirmations. @throws TRANSACTION_FAILED, TRANSACTION_STUCK when none was mined within `patienceMs`
   */
  submit(raw: Hex, claims: Claim[], signal: AbortSignal, options?: { earlier?: Hex[]; patienceMs?: number }): Promise<Receipt>;
};

/** What clearing for others needs of a chain. */
export type ClearingForOthers = Pick<Settlement, "account" | "paid" | "isMined" | "raise" | "submit"> & {
  /** what gas costs now for claims with checks */
  clearCosts(): Promise<ClearingCosts>;
  /**
   * As `prepareSettle`, for claims that each bear a check. It is tried on the newest block first: its gas may cost what it would earn
   * there at most. @throws as `prepareSettle`; GAS_PRICE_HIGH also when it would earn nothing (any more)
   */
  prepareClear(claims: Claim[], limits?: { maxCost?: bigint | undefined }): Promise<PreparedTransaction>;
};
