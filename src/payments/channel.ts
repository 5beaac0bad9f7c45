import type { Hex } from "../lib/codec.ts";
import type { PromiseData } from "./eip712.ts";
import { type SignedPromise, samePromise } from "./promise.ts";
import type { AccountView } from "./settlement.ts";

/** How old a view of an account may be, and how far ahead of the clock a seq: 10 min. */
export const staleAfterMs = 600_000;
/** seq = unix ms << 20, so a second device or a lost ledger never falls behind what was signed before. */
const seqShift = 20n;

/** What one signer has promised to everybody. */
export type PayerTotals = { seq: bigint; total: bigint };

/**
 * The payer's next promise on a channel, raising it to `cumulative` and its running total by as much.
 * seq = max(last + 1, nowMs << 20).
 */
export function nextPromise(
  signer: PayerTotals,
  channel: { channel: Hex; cumulative: bigint },
  cumulative: bigint,
  nowMs: number,
): PromiseData {
  const now = BigInt(nowMs) << seqShift;
  return {
    channel: channel.channel,
    cumulative,
    total: signer.total + (cumulative - channel.cumulative),
    seq: now > signer.seq ? now : signer.seq + 1n,
  };
}

/** Why a provider does not accept a promise, and what may help: reading the account again, clearing first, or nothing. */
export const refusals = {
  "wrong-channel": { help: "none", text: "the promise is for another channel" },
  stale: { help: "none", text: "a newer promise of this channel is known" },
  conflict: { help: "none", text: "another promise has the same seq" },
  falls: { help: "none", text: "cumulative or total does not rise" },
  "seq-ahead": { help: "none", text: "the seq is over 10 min ahead of the clock" },
  overdue: { help: "none", text: "a settlement here is overdue, so no new credit is given" },
  "account-unknown": { help: "refresh", text: "the payer's account has not been read" },
  "view-stale": { help: "refresh", text: "the payer's account was read over 10 min ago" },
  closing: { help: "none", text: "the payer is closing its account" },
  "bond-low": { help: "refresh", text: "the payer's bond is under the minimum" },
  "over-line": { help: "refresh", text: "the payer has promised more than it ever deposited" },
  "total-low": { help: "none", text: "the total leaves out what was paid or is owed here" },
  "over-limit": { help: "settle", text: "more is unsettled here than one payer may owe" },
  "over-bond": { help: "settle", text: "the payer owes more in all than half its bond" },
  "bad-signature": { help: "none", text: "the payer has not signed this promise" },
} as const satisfies Record<string, { help: "refresh" | "settle" | "none"; text: string }>;
export type Refusal = keyof typeof refusals;

/** What a provider knows of a channel before a promise. */
export type ChannelState = {
  signer: Hex;
  channel: Hex;
  /** the newest promise accepted */
  best: SignedPromise | undefined;
  /** what the contract has paid on it */
  paid: bigint;
  /** the cumulative of a claim under way: between `paid` and this the contract may already have paid */
  claimed: bigint;
};

export type Conditions = {
  nowMs: number;
  /** the payer's account as last read */
  account: AccountView | undefined;
  /** false: the account cannot be read now, so an old view serves, within the same limits */
  chainReachable: boolean;
  /** a settlement of ours should be on chain by now and is not */
  overdue?: boolean;
  /** sums over this signer's other channels with us: unsettled = cumulative - paid, unclaimed = cumulative - claimed */
  others: { unsettled: bigint; unclaimed: bigint };
  limits: ProviderLimits;
};

export type ProviderLimits = {
  /** base units: what one payer may owe here at most (U_max) */
  maxUnsettled: bigint;
  minBond: bigint;
};

export type Acceptance =
  | { accepted: true /** false: it is the best promise already, sent again */; fresh: boolean }
  | { accepted: false; refusal: Refusal };

export const refuse = (refusal: Refusal): Acceptance => ({ accepted: false, refusal });

/**
 * Whether a provider takes a promise, the cheapest checks first. What is fresh is taken only if its payer has signed it, which is left
 * to the caller because it takes time: once that is known, it asks again, for by then the state may be another.
 */
export function acceptPromise(state: ChannelState, promise: SignedPromise, conditions: Conditions): Acceptance {
  const { best } = state;
  if (promise.channel !== state.channel) return refuse("wrong-channel");
  if (best && promise.seq <= best.seq) {
    if (promise.seq < best.seq) return refuse("stale");
    return samePromise(best, promise) ? { accepted: true, fresh: false } : refuse("conflict");
  }
  if (promise.cumulative <= (best?.cumulative ?? 0n) || promise.total < (best?.total ?? 0n)) return refuse("falls");
  if (promise.seq > BigInt(conditions.nowMs + staleAfterMs) << seqShift) return refuse("seq-ahead");
  const refusal = creditRefusal(state, promise, conditions);
  if (refusal) return refuse(refusal);
  return { accepted: true, fresh: true };
}

/** What the payer's account says: whether it is good for this promise. spent = line - balance. */
function creditRefusal(state: ChannelState, promise: PromiseData, conditions: Conditions): Refusal | undefined {
  const { account, limits, others } = conditions;
  if (conditions.overdue) return "overdue";
  if (!account) return "account-unknown";
  if (conditions.chainReachable && conditions.nowMs - account.readAtMs > staleAfterMs) return "view-stale";
  if (account.closeAtMs !== undefined) return "closing";
  if (account.bond < limits.minBond) return "bond-low";
  if (promise.total > account.line) return "over-line";
  const spent = account.line - account.balance;
  const unsettled = others.unsettled + promise.cumulative - state.paid;
  // What a claim of ours is just collecting may stand in `spent` already: counted twice, it would accuse an honest payer.
  const unclaimed = others.unclaimed + promise.cumulative - state.claimed;
  // As total <= line, this also keeps what is owed to us within the balance.
  if (spent + unclaimed > promise.total) return "total-low";
  if (unsettled > limits.maxUnsettled || unsettled > account.bond / 8n) return "over-limit";
  if (promise.total - spent > account.bond / 2n) return "over-bond";
  return undefined;
}
