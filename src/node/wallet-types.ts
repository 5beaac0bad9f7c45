import type { Sent } from "../chain/chain.ts";
import type { OutsideTransaction } from "../chain/outside.ts";
import type { Hex } from "../lib/codec.ts";

export type { OutsideTransaction } from "../chain/outside.ts";

/** Amounts in base units of the network's token. */
export type WalletView = {
  address: Hex;
  /** who may pay into this node's account, close it and withdraw: itself, or a wallet elsewhere; absent before the first deposit */
  owner?: Hex;
  /** in the wallet, not deposited */
  tokens: bigint;
  /** wei for fees */
  gas: bigint;
  deposit: bigint;
  bond: bigint;
  /** all deposits ever made */
  line: bigint;
  /** what exits have cleared of it */
  spent: bigint;
  /** all ever promised to all exits */
  promised: bigint;
  /** promised and not cleared yet */
  liabilities: bigint;
  /** owed to this node and not cleared yet, on so many channels */
  unsettled: bigint;
  unsettledChannels: number;
  /** of it, given up: it is not worth its gas, or its payer has nothing left */
  writtenOff: bigint;
  /** paid to this node by the contract and kept there: others cleared it, or a transfer failed */
  credit: bigint;
  /** the most that may be lost from here on */
  atRisk: {
    /** promised and not used yet: when those exits serve no more */
    prepaid: bigint;
    /** when this key signs anywhere else, too */
    bond: bigint;
    /** when all who owe it cheat */
    owed: bigint;
  };
  closeAtMs?: number;
  /** what is still in accounts of keys that were retired here */
  retired?: { signer: Hex; deposit: bigint; bond: bigint; closeAtMs?: number }[];
  /** a transaction that an earlier command has not followed to its end */
  unfinished?: { what: SentView["what"]; hash: Hex };
};

/**
 * `new`: nothing promised yet; `active`: a session runs on it; `open`: something is not cleared; `cleared`: nothing is;
 * `closing`: the payer may withdraw soon; `closed`: it may have.
 */
export type ChannelState = "new" | "active" | "open" | "cleared" | "closing" | "closed";

export type ChannelView = {
  role: "payer" | "provider";
  channel: Hex;
  /** the payer's address */
  signer: Hex;
  peer: string;
  cumulative: bigint;
  /** of it, used up by service */
  consumed: bigint;
  paid: bigint;
  /** cumulative - paid */
  unsettled: bigint;
  /** of the newest promise */
  lastMs: number;
  state: ChannelState;
  /** as provider: how much of it these peers have said to clear while this node is away */
  watched?: { amount: bigint; by: string[]; untilMs: number };
};

/** An account on the contract, base units. */
export type AccountSummary = {
  signer: Hex;
  owner: Hex;
  balance: bigint;
  bond: bigint;
  line: bigint;
  closeAtMs?: number /** its key was retired here */;
  retired?: true;
};

/** `again`: of an earlier run, taken up; `settle` is told when it is final. */
export type SentView = { what: Sent["step"] | "settle"; hash: Hex; again?: true };

export type WalletOptions = {
  /** told of each transaction as it goes out */
  onSent?(sent: SentView): void;
  /** ends the waiting; a transaction that is out stays out, and the same call goes on with it */
  signal?: AbortSignal;
};

export type OutsideRequest = {
  action: "deposit" | "close" | "withdraw";
  /** whose account; default this node's */
  signer?: Hex;
  /** the wallet that is to send; default the account's owner */
  owner?: Hex;
  /** deposit: base units; the bond comes on top, default what is missing */
  amount?: bigint;
  bond?: bigint;
  /** deposit, for another signer's first: its consent to the owner */
  consent?: Hex;
  /** withdraw: default the owner */
  to?: Hex;
};
export type OutsideView = {
  owner: Hex;
  signer: Hex;
  chainId: number;
  /** deposit: what the owner holds, base units */
  tokens?: bigint;
  /** withdraw: not before */
  closeAtMs?: number;
  /** in this order */
  transactions: OutsideTransaction[];
};

export type SettleView = {
  hash?: Hex;
  claims: number;
  paid: bigint;
  /** each claim that was paid */
  settled: { hash: Hex; signer: Hex; channel: Hex; peer: string; paid: bigint }[];
  /** owed, and not worth its gas: cleared with `all` only */
  left: bigint;
  /** cleared, and not paid: nothing is left where it should come from */
  short: bigint;
  /** taken out of what the contract kept */
  collected: bigint;
  /** what it still keeps: the token does not let it through, or it is not worth its gas */
  kept: bigint;
};

/** The money of a node. */
export type Wallet = {
  show(): Promise<WalletView>;
  channels(): Promise<ChannelView[]>;
  /** @param signer default this node's */
  account(signer?: Hex): Promise<AccountSummary>;
  /**
   * Deposits out of this node's wallet; `bond` comes on top of `amount`, default what the network asks for and is missing. The account is this node's own or that of `signer`, which
   * consents once. @throws DEPOSIT_TOO_SMALL, INSUFFICIENT_FUNDS, INSUFFICIENT_GAS, NOT_OWNER, BAD_SIGNATURE
   */
  deposit(amount: bigint, bond?: bigint, options?: WalletOptions & { signer?: Hex; consent?: Hex }): Promise<{ hash: Hex }>;
  /** Begins the close of an account, for good. @throws NO_DEPOSIT, ACCOUNT_CLOSING, NOT_OWNER */
  close(options?: WalletOptions & { signer?: Hex }): Promise<{ hash: Hex; closeAtMs: number }>;
  /** Takes everything out once the delay is over, also of a key that was retired here; `credited`: what of it the token did not let through, kept for `to`. @throws ACCOUNT_OPEN, ACCOUNT_CLOSING, NO_DEPOSIT, NOT_OWNER */
  withdraw(options?: WalletOptions & { signer?: Hex; to?: Hex }): Promise<{ hash: Hex; withdrawn: bigint; credited: bigint }>;
  /**
   * Says that this ledger is the newest there is of its key, although it is a copy or was restored. @returns false when that was in no doubt
   * @throws LEDGER_BEHIND when the chain knows better, ACCOUNT_CLOSING
   */
  adopt(): Promise<boolean>;
  /** Sends all tokens of this wallet to another. @throws INSUFFICIENT_FUNDS */
  move(to: Hex, options?: WalletOptions): Promise<{ hash: Hex }>;
  /** What any wallet holds outside of the contract: base units and wei. */
  balances(address: Hex): Promise<{ tokens: bigint; gas: bigint }>;
  /** Clears what is owed to this node and worth its gas, or `all`; and collects its credit. */
  settle(options?: WalletOptions & { all?: boolean }): Promise<SettleView>;
  /** This node's yes to a wallet elsewhere owning its account: to be given along with the first deposit. */
  consent(owner: Hex): Promise<{ signer: Hex; owner: Hex; consent: Hex }>;
  /** What a wallet elsewhere has to send. @throws as `deposit`, `close` and `withdraw` do */
  outside(request: OutsideRequest): Promise<OutsideView>;
};
