import type { Hex } from "../lib/codec.ts";

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

/** One promise, ready to be turned into money. */
export type Claim = { signer: Hex; salt: Uint8Array; cumulative: bigint; total: bigint; seq: bigint; signature: Uint8Array };

export type Receipt = {
  hash: Hex;
  /** per claim of the batch, in order: what this transaction paid for it; 0 when it was skipped */
  paid: bigint[];
};

/** What payments need of a chain; chain/ fulfils it. Every call has a deadline of its own and throws RPC_UNREACHABLE. */
export type Settlement = {
  account(signer: Hex): Promise<AccountView>;
  /** what the contract has paid so far on a channel */
  paid(signer: Hex, channel: Hex): Promise<bigint>;
  /** Makes and signs the transaction without sending it, so that it can be on disk first. @throws INSUFFICIENT_GAS */
  prepareSettle(claims: Claim[], to: Hex): Promise<{ raw: Hex; hash: Hex; nonce: number }>;
  /** Sends a raw transaction (again) and waits for its receipt and the network's confirmations. @throws TRANSACTION_FAILED */
  submit(raw: Hex, claims: Claim[], signal: AbortSignal): Promise<Receipt>;
};
