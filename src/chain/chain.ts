import type { Identity } from "../identity/identity.ts";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import type { NetworkConfig } from "../lib/network-config.ts";
import type { Logger } from "../lib/ports.ts";
import type { ClearingForOthers, PreparedTransaction, Settlement } from "../payments/settlement.ts";

/** The key of an account on the contract: it signs promises, and once its consent to an owner. */
export type Signer = Pick<Identity, "address" | "sign">;
/** An account whose key is elsewhere, with its consent to our owning it; without one only an account that we own already. */
export type Consented = { address: Hex; consent?: Hex };

/** A transaction of a wallet, whole enough to be taken up again after a crash. */
export type Sent = Prepared & {
  step: "approve" | "deposit" | "close" | "withdraw" | "collect" | "move";
  /** the same with lower fees, sent before it: any of them may be mined */
  earlier: Hex[];
};
export type Sending = {
  /** Awaited before it goes out: what cannot be written down is not sent. Again for each variant with higher fees. */
  onPrepared?(sent: Sent): Promise<void>;
  /** ends the waiting, not the transaction */
  signal?: AbortSignal;
};
/** Amounts in base units. */
export type WalletOutcome = { hash: Hex; closeAtMs?: number; withdrawn?: bigint; credited?: bigint; collected?: bigint };

export type ChainDeps = {
  network: NetworkConfig;
  /** pays for and signs transactions, and is the signer of its own account; without one the chain is read-only */
  identity?: Identity;
  /** an RPC URL that goes before the network file's */
  rpc?: string;
  /** how long an RPC that has shown the right chain and contract is believed before it is asked again; default 30 s */
  verifyMs?: number;
  log: Logger;
  clock: Clock;
};

export type ChainStatus = {
  reachable: boolean;
  /** the newest block seen */
  block?: number;
  /** why it is not usable, in one sentence */
  problem?: string;
};

export type Prepared = PreparedTransaction;

/** What the contract tells; the part of it that payments and wallets act on. Amounts in base units; `timeMs` is the block's. */
export type ChainEvent = { block: number; logIndex: number; hash: Hex; timeMs: number } & (
  | { type: "deposited"; signer: Hex; owner: Hex; amount: bigint; bond: bigint; line: bigint }
  | { type: "cleared"; signer: Hex; channel: Hex; cumulative: bigint; total: bigint; seq: bigint; paid: bigint }
  | { type: "closing"; signer: Hex; closeAtMs: number }
  | { type: "bondBurned"; signer: Hex }
);

/** Where a poller reads from. Blocks are final as the network's `confirmations` has it. @throws RPC_UNREACHABLE */
export type EventSource = {
  /** the newest final block */
  head(): Promise<{ number: number; hash: Hex }>;
  /** undefined when there is no such block (any more) */
  blockHash(number: number): Promise<Hex | undefined>;
  /** in the order of the chain, both blocks included */
  events(fromBlock: number, toBlock: number): Promise<ChainEvent[]>;
};

type Ports = Settlement & ClearingForOthers;

/**
 * One network's contract, over JSON-RPC. Making it asks nothing of the RPC; the first call that reaches it checks that it is
 * the right one, and so does every later call until one has passed.
 *
 * Every call has a deadline of its own and may throw
 * RPC_UNREACHABLE (none of the URLs answers), RPC_WRONG_CHAIN, CONTRACT_MISSING, CONTRACT_MISMATCH (its token or its EIP-712 domain is another).
 * Calls that send a transaction also throw INSUFFICIENT_GAS, TRANSACTION_FAILED (reverted, or its nonce was taken by another)
 * and IDENTITY_MISSING without an identity.
 */
export type Chain = Ports & {
  /** as the last call left it; asks nothing and never throws */
  status(): ChainStatus;
  /** Asks now. Never throws: what is wrong is in `problem`. */
  check(): Promise<ChainStatus>;
  /** What a wallet holds outside of the contract, at the newest block: tokens in base units, gas in wei. */
  balances(address: Hex): Promise<{ tokens: bigint; gas: bigint }>;
  /** What others' submissions and failed transfers have left for this address in the contract, base units. */
  credit(address: Hex): Promise<bigint>;
  /**
   * Deposits, with a permit where the token takes one, else after an approval where that is missing; resolves when it is final.
   * `bond` comes on top of `amount`.
   * @param account whose; default our own identity's. The owner is always our own identity.
   * @throws DEPOSIT_TOO_SMALL when the account would stay under the network's minimum, INSUFFICIENT_FUNDS, ACCOUNT_CLOSING, NOT_OWNER,
   * BAD_SIGNATURE when a new account's consent is missing or not its signer's
   */
  deposit(amount: bigint, bond: bigint, account?: Signer | Consented, sending?: Sending): Promise<{ hash: Hex }>;
  /** Begins the close of an account that our identity owns; final. @throws NO_DEPOSIT, NOT_OWNER, ACCOUNT_CLOSING when it has begun already */
  close(signer?: Hex, sending?: Sending): Promise<{ hash: Hex; closeAtMs: number }>;
  /**
   * Takes balance and bond out once the delay is over; `credited` of it the contract keeps for `to`, for the token did not let it
   * through. @param to default our own address
   * @throws NO_DEPOSIT, NOT_OWNER, ACCOUNT_OPEN before a close, ACCOUNT_CLOSING while its delay is not over
   */
  withdraw(signer?: Hex, to?: Hex, sending?: Sending): Promise<{ hash: Hex; withdrawn: bigint; credited: bigint }>;
  /** Takes out our credit. @throws NO_DEPOSIT when there is none */
  collect(to: Hex, sending?: Sending): Promise<{ hash: Hex; collected: bigint }>;
  /** Sends all tokens that our own wallet holds, outside of the contract, to another. @throws INSUFFICIENT_FUNDS when there are none */
  move(to: Hex, sending?: Sending): Promise<{ hash: Hex; moved: bigint }>;
  /** Takes up a transaction that was sent, or was to be, by an earlier run. @throws TRANSACTION_FAILED when it reverted or never will be mined */
  finish(sent: Sent, sending?: Sending): Promise<WalletOutcome>;
  /** for a poller (poller.ts) */
  events: EventSource;
};

export type CreateChain = (deps: ChainDeps) => Chain;
