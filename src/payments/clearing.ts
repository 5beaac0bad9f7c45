import { larger } from "../lib/bigint.ts";
import type { Clock } from "../lib/clock.ts";
import {
  type ClearingCause,
  type ClearingCosts,
  chooseBatch,
  clearingThreshold,
  clearWithinMs,
  closeDeadlineMs,
  isDust,
  mostFor,
  type Owed,
} from "./clearing-policy.ts";
import { type ChannelRef, keyOf, type ProviderChannel, type ProviderLedger } from "./provider-ledger.ts";

export type ClearingDeps = { ledger: Pick<ProviderLedger, "channel" | "channels" | "account">; clock: Clock };

/** a channel whose transactions failed again and again is left alone for so long */
const restMs = 3_600_000;

/** What a settler knows of each channel beside its amounts, and what follows from it: what to clear, for how much, by when. In memory. */
export function createClearing({ ledger, clock }: ClearingDeps, settleAt: bigint) {
  const earning = new Map<string, { from: bigint; sinceMs: number }>();
  const causes = new Map<string, ClearingCause>();
  /** the highest cumulative that a transaction of this run has claimed: what bounced is not claimed again and again */
  const claimed = new Map<string, bigint>();
  const askedMs = new Map<string, number>();
  const restUntilMs = new Map<string, number>();
  let costs: ClearingCosts | undefined;

  const closeAtOf = (signer: ChannelRef["signer"]) => ledger.account(signer)?.closeAtMs;
  const causeOf = (channel: ProviderChannel): ClearingCause =>
    causes.get(keyOf(channel)) ?? (closeAtOf(channel.signer) === undefined ? "due" : "close");
  /** it has taken out what there was, or a bounce has burned it; nothing at all is what an RPC says that knows nothing */
  const isGone = (signer: ChannelRef["signer"]): boolean => {
    const account = ledger.account(signer);
    return account !== undefined && account.line > 0n && account.balance + account.bond === 0n;
  };
  /** unsettled, as far as it is not claimed and may be had at all */
  const openOn = (channel: ProviderChannel): bigint => {
    if (isGone(channel.signer)) return 0n;
    const open = channel.cumulative - larger(channel.paid, claimed.get(keyOf(channel)) ?? 0n);
    return larger(open, 0n);
  };
  const isExposed = ({ signer, best }: ProviderChannel): boolean => {
    const account = ledger.account(signer);
    return account !== undefined && (best.total - (account.line - account.balance)) * 4n > account.bond;
  };
  const owedOn = (channel: ProviderChannel): Owed => {
    const key = keyOf(channel);
    const began = earning.get(key);
    const cause = causeOf(channel);
    return {
      key,
      unsettled: openOn(channel),
      earning: began && { earned: channel.cumulative - began.from, elapsedMs: clock.nowMs() - began.sinceMs },
      cause: cause === "hand" ? "due" : cause,
      exposed: isExposed(channel),
    };
  };
  const rests = (key: string) => (restUntilMs.get(key) ?? 0) > clock.nowMs();
  const choose = (channels: ProviderChannel[], pressing = false): string[] =>
    costs
      ? chooseBatch(
          channels.map((channel) => ({ ...owedOn(channel), ...(pressing && { exposed: true }) })).filter(({ key }) => !rests(key)),
          costs,
          settleAt,
        )
      : [];
  const isOverdue = (nowMs: number): boolean => {
    for (const sinceMs of askedMs.values()) if (nowMs - sinceMs > clearWithinMs) return true;
    const { next } = costs ?? { next: 0n };
    return ledger.channels().some((channel) => {
      const closeAtMs = closeAtOf(channel.signer);
      return closeAtMs !== undefined && nowMs > closeDeadlineMs(closeAtMs) && openOn(channel) > next;
    });
  };
  let judged: { atMs: number; overdue: boolean } | undefined;

  return {
    /** from which amount on a channel is worth its gas that earns nothing more */
    worth: () => clearingThreshold(costs?.first ?? 0n, undefined, settleAt),
    /** Takes in what gas costs. */
    priced: (now: ClearingCosts) => {
      costs = now;
    },
    costs: () => costs,
    /** The channel is in use. @returns whether it is due; undefined while nobody has said what gas costs */
    earns: (channel: ProviderChannel): boolean | undefined => {
      const key = keyOf(channel);
      if (!earning.has(key)) earning.set(key, { from: larger(channel.paid, claimed.get(key) ?? 0n), sinceMs: clock.nowMs() });
      if (!costs) return undefined;
      // what is being cleared is looked at again once it has been
      return !askedMs.has(key) && choose([channel]).length > 0;
    },
    /** Its service is over. */
    ends: (channel: ProviderChannel) => void earning.delete(keyOf(channel)),
    /** From now on it is cleared for this cause, until it has been. */
    want: (key: string, cause: ClearingCause) => {
      causes.set(key, cause);
      restUntilMs.delete(key);
    },
    /** Which of these channels to clear now; when it is `pressing`, at the least amount that is worth its gas. */
    choose,
    /** It is in the settler's hands from now on, and overdue some time after. */
    asked: (keys: string[]) => {
      for (const key of keys) if (!askedMs.has(key)) askedMs.set(key, clock.nowMs());
    },
    /** A transaction claims this much on it. */
    claim: (key: string, cumulative: bigint) => void claimed.set(key, cumulative),
    /** Its claim is on chain, or was not worth one. */
    cleared: (keys: string[]) => {
      for (const key of keys) for (const map of [causes, askedMs, restUntilMs]) map.delete(key);
    },
    /** What the chain had taken it may have given up again. */
    unclaim: (keys: string[]) => {
      for (const key of keys) claimed.delete(key);
    },
    /** Its transactions fail: it is left alone for a while, and then tried anew. */
    givenUp: (keys: string[]) => {
      for (const key of keys) {
        claimed.delete(key);
        askedMs.delete(key);
        restUntilMs.set(key, clock.nowMs() + restMs);
      }
    },
    /** The most that a transaction may cost that clears these; undefined: whatever it takes. */
    mostFor: (channels: ProviderChannel[]): bigint | undefined => {
      let most = 0n;
      for (const channel of channels) {
        const { cumulative, paid, signer } = channel;
        const part = mostFor(causeOf(channel), larger(cumulative - paid, 0n), clock.nowMs(), closeAtOf(signer));
        if (part === undefined) return undefined;
        most += part;
      }
      return most;
    },
    /** Whether anything should be on chain by now that is not. */
    overdue: (): boolean => {
      const nowMs = clock.nowMs();
      // asked of every promise
      if (judged && Math.abs(nowMs - judged.atMs) < 1_000) return judged.overdue;
      judged = { atMs: nowMs, overdue: isOverdue(nowMs) };
      return judged.overdue;
    },
    /** Amounts that are lost: under their gas at a close, or owed by a payer that has nothing left on the contract. */
    lost: (): { channel: ProviderChannel; amount: bigint }[] =>
      ledger.channels().flatMap((channel) => {
        const amount = channel.cumulative - channel.paid;
        if (amount <= 0n || !costs) return [];
        const cause = closeAtOf(channel.signer) === undefined ? ("due" as const) : ("close" as const);
        return isGone(channel.signer) || isDust({ unsettled: amount, cause }, costs) ? [{ channel, amount }] : [];
      }),
  };
}

export type Clearing = ReturnType<typeof createClearing>;
