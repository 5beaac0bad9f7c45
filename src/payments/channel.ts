import { larger } from "../lib/bigint.ts";
import type { Hex } from "../lib/codec.ts";
import type { PromiseData } from "./eip712.ts";
import { growthLimit, idleAfterMs, newcomerLimit, signedWithinMs, type Told } from "./heads/limits.ts";
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

/** Why a provider does not accept a promise, and what may help: reading the account again, clearing first, time, or nothing. In the order in which they are looked for. */
export const refusals = {
  "wrong-channel": { help: "none", text: "the promise is for another channel" },
  stale: { help: "none", text: "a newer promise of this channel is known" },
  conflict: { help: "none", text: "another promise has the same seq" },
  falls: { help: "none", text: "cumulative or total does not rise" },
  "seq-ahead": { help: "none", text: "the seq is over 10 min ahead of the clock" },
  "account-unknown": { help: "refresh", text: "the payer's account has not been read" },
  "view-stale": { help: "refresh", text: "the payer's account was read over 10 min ago" },
  closing: { help: "none", text: "the payer is closing its account" },
  "bond-low": { help: "refresh", text: "the payer's bond is under the minimum" },
  "conflict-known": { help: "none", text: "the payer has signed what cannot all be true" },
  crowded: { help: "none", text: "the payer has more channels than anybody keeps" },
  loud: { help: "none", text: "the payer's promises elsewhere are too many to follow" },
  "over-line": { help: "refresh", text: "the payer has promised more than it ever deposited" },
  "total-low": { help: "none", text: "the total leaves out what was paid or is owed" },
  "over-bond": { help: "settle", text: "the payer owes more in all than half its bond" },
  "over-limit": { help: "settle", text: "more is unsettled here than one payer may owe" },
  unseen: { help: "wait", text: "others have not seen yet what the payer owes" },
  strangers: { help: "settle", text: "payers that never cleared anything here owe as much as they may" },
  overdue: { help: "none", text: "a settlement here is overdue, so no new credit is given" },
  "bad-signature": { help: "none", text: "the payer has not signed this promise" },
} as const satisfies Record<string, { help: "refresh" | "settle" | "wait" | "none"; text: string }>;
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

/** What is known of a payer beside its channels with us, and what others know of those. */
export type Sight = {
  /** `conflict`: it has signed what cannot all be true. `crowded`, `loud`: on more channels, or more often, than is kept */
  standing: "clear" | "conflict" | "crowded" | "loud";
  /** the highest total that was seen: in heads that were signed before the promise, and in all */
  totalBefore: bigint;
  total: bigint;
  /** this channel's newest head that others have seen */
  seen: Told | undefined;
  /** promised beyond what others have seen on its other channels with us that begin, or begin anew */
  othersUnseen: bigint;
  /** k: this payer's channels that have told of anything lately, this one included */
  channels: number;
  /** N: exits that may give it credit, this one included */
  exits: number;
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
  /** unsettled with other payers that never cleared anything here; undefined when this one has */
  strangers?: bigint | undefined;
  /** undefined: nothing is known of other exits, and no limit follows from it */
  sight?: Sight | undefined;
  limits: ProviderLimits;
};

/** All payers that never cleared anything here may owe so many times what one may. */
export const strangersMay = 20n;

/** A bond is worth so many times the gas of a claim at least, or nobody would burn it: who claims gets an eighth. */
export const bondPerGas = 100n;

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

/** What the payer's account says, and what others know: whether it is good for this promise. spent = line - balance. */
function creditRefusal(state: ChannelState, promise: PromiseData, conditions: Conditions): Refusal | undefined {
  const { account, limits, others, sight, strangers } = conditions;
  if (!account) return "account-unknown";
  if (conditions.chainReachable && conditions.nowMs - account.readAtMs > staleAfterMs) return "view-stale";
  if (account.closeAtMs !== undefined) return "closing";
  if (account.bond < limits.minBond) return "bond-low";
  if (sight && sight.standing !== "clear") return sight.standing === "conflict" ? "conflict-known" : sight.standing;
  if (promise.total > account.line) return "over-line";
  const spent = account.line - account.balance;
  const unsettled = others.unsettled + promise.cumulative - state.paid;
  // What a claim of ours is just collecting may stand in `spent` already: counted twice, it would accuse an honest payer.
  const unclaimed = others.unclaimed + promise.cumulative - state.claimed;
  // As total <= line, this also keeps what is owed to us within the balance.
  if (spent + unclaimed > promise.total || promise.total < (sight?.totalBefore ?? 0n)) return "total-low";
  if (larger(promise.total, sight?.total ?? 0n) - spent > account.bond / 2n) return "over-bond";
  if (unsettled > limits.maxUnsettled || unsettled > account.bond / 8n) return "over-limit";
  const unseen = promise.cumulative - larger(state.paid, sight?.seen?.cumulative ?? 0n);
  if (sight && unseen > larger(0n, mayBeUnseen(sight, promise, account, conditions.nowMs))) return "unseen";
  if (strangers !== undefined && strangers + unsettled > strangersMay * limits.maxUnsettled) return "strangers";
  return conditions.overdue ? "overdue" : undefined;
}

/** How much of a channel others need not have seen; what begins shares one limit with the payer's other channels here that do. */
function mayBeUnseen(sight: Sight, { seq }: PromiseData, { bond }: AccountView, nowMs: number): bigint {
  const inUse = sight.seen !== undefined && nowMs - sight.seen.atMs <= idleAfterMs;
  // whoever counts channels by what was signed lately does not count this one
  const isNew = seq >= BigInt(nowMs - signedWithinMs) << seqShift;
  return inUse && isNew ? growthLimit(bond, sight.channels) : newcomerLimit(bond, sight.exits) - sight.othersUnseen;
}
