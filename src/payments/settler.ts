import type { Hex } from "../lib/codec.ts";
import { asMystError } from "../lib/errors.ts";
import { every, type Loop } from "../lib/lifecycle.ts";
import { createClearing } from "./clearing.ts";
import { type ClearingCause, clearingThreshold } from "./clearing-policy.ts";
import { type ChannelRef, keyOf, type ProviderChannel } from "./provider-ledger.ts";
import { createRecentSettlements } from "./recent-settlements.ts";
import { ledgerTable } from "./records.ts";
import { createSettleDriver, refOf, type Settled, type SettlerDeps, unsettledOn } from "./settle-driver.ts";
import { createWriteOffs } from "./write-offs.ts";

export type { Settled, SettledClaim, SettlerDeps } from "./settle-driver.ts";

export type SettlerOptions = {
  /** base units: a channel in use is cleared at the latest once this much is unsettled on it, if that is worth the gas */
  settleAt: bigint;
  /** wait before the first new try after a failure; doubles up to sixteen times that; default 2 s */
  retryMs?: number;
  /** a transaction that is in no block after so long is looked at again: its fees may be too low by now; default 60 s */
  stuckMs?: number;
  /** how often everything is looked through; default 60 s */
  reviewMs?: number;
};

export type Settler = AsyncDisposable & {
  /**
   * Sends again what a former run left unfinished, clears what is worth it, and looks again and again what has become so; returns
   * at once. Without it the same is done for the unfinished only, as soon as anything is asked for.
   */
  start(): void;
  /** After an accepted promise: clears the channel if it is due. */
  consider(ref: ChannelRef): void;
  /**
   * Clears a channel, or all that is unsettled, as soon as it is worth the gas; returns at once. For session ends (`due`, the
   * default), for a payer that closes its account, and for one that has signed what cannot both be true: in these two cases every
   * amount counts that is more than its gas.
   */
  requestSettle(reason: string, ref?: ChannelRef, cause?: Exclude<ClearingCause, "hand">): void;
  /**
   * Clears now what this payer owes, or everybody, where that is worth the gas, and waits for it and for what is under way. @throws as
   * settleNow, also while nobody says what gas costs
   */
  relieve(signer?: Hex): Promise<void>;
  /** Clears all that is unsettled, or what is `chosen` of it, whatever it costs, and waits for it. @throws RPC_UNREACHABLE, INSUFFICIENT_GAS, TRANSACTION_FAILED (it stays queued) */
  settleNow(chosen?: (channel: ProviderChannel) => boolean): Promise<{ hash?: Hex; claims: number; paid: bigint }>;
  /** what a claim in a batch costs in gas, base units, as last heard; 0 while nobody has said */
  claimGas(): bigint;
  /** from which amount on a channel that earns nothing more is worth its gas, as that was last known */
  worthClearing(): bigint;
  /** Something should be on chain by now that is not: no new credit until it is. */
  overdue(): boolean;
  /** The chain was reorganised: reads again what it has paid, and clears anew what it has forgotten. */
  reorganised(): Promise<void>;
  onSettled(listener: (settled: Settled) => void): () => void;
  /** Ends without waiting for the chain; what is under way is taken up by the next start. */
  stop(): Promise<void>;
};

const defaultRetryMs = 2_000;
const defaultStuckMs = 60_000;
const defaultReviewMs = 60_000;
const priceFreshMs = 60_000;

/** Turns promises into money, when it is worth it. */
export function createSettler(deps: SettlerDeps, options: SettlerOptions): Settler {
  const { settlement, ledger, log, clock } = deps;
  const { settleAt, retryMs = defaultRetryMs, stuckMs = defaultStuckMs, reviewMs = defaultReviewMs } = options;
  const clearing = createClearing({ ledger, clock }, settleAt);
  const writeOffs = createWriteOffs(deps);
  const table = ledgerTable(deps.store, "settler", ledger.network, ledger.self);
  const recent = createRecentSettlements({ ...deps, table });
  const driver = createSettleDriver({ ...deps, table, clearing, recent }, { retryMs, stuckMs });
  let pricedMs: number | undefined;
  let reviewing: Loop | undefined;
  let wasLate = false;
  let isReviewing = false;
  let wanted: { urgent: boolean } | undefined;
  let wasDear = false;

  const price = async () => {
    if (pricedMs !== undefined && Math.abs(clock.nowMs() - pricedMs) < priceFreshMs) return;
    const costs = await settlement.costs();
    clearing.priced(costs);
    pricedMs = clock.nowMs();
    const least = clearingThreshold(costs.first, undefined, settleAt);
    if (least > settleAt && !wasDear) log.warn("gas is dear: a channel is cleared only from a higher amount on", { settleAt, least });
    wasDear = least > settleAt;
  };
  /** Clears what is worth it. While nobody says what gas costs it is asked for all the same: its transaction asks again. */
  const review = async (urgent = false) => {
    await price().catch(({ message }) => {
      if (pricedMs === undefined) clearing.priced({ first: 0n, next: 0n });
      log.debug("what gas costs is not known", { message });
    });
    if (driver.ended()) return;
    const chosen = clearing.choose(ledger.channels());
    if (chosen.length > 0) driver.ask(chosen, urgent);
    await writeOffs.note(clearing.lost());
    const isLate = clearing.overdue();
    if (isLate && !wasLate) log.error("a settlement is overdue: no new credit is given until it is on chain");
    wasLate = isLate;
  };
  /** Reads anew what was paid, where the chain may have taken it back. */
  const readAnew = async (keys: string[]) => {
    clearing.unclaim(keys);
    for (const ref of keys.map(refOf)) await ledger.settled(ref, await settlement.paid(ref.signer, ref.channel), true);
  };
  const lookAfter = () =>
    recent.lookAfter(({ channels }) => readAnew(channels.filter((key) => ledger.channel(refOf(key)) !== undefined)), driver.ended);
  /** One at a time: what is asked for meanwhile is seen to after it. */
  const reviewSoon = (urgent = false) => {
    wanted = { urgent: urgent || (wanted?.urgent ?? false) };
    if (isReviewing) return;
    isReviewing = true;
    const all = async () => {
      for (let next = wanted; next; next = wanted) {
        wanted = undefined;
        await review(next.urgent);
      }
    };
    driver.track(
      all()
        .catch((error) => log.error("a review of what is owed failed", { code: asMystError(error).code }))
        .finally(() => {
          isReviewing = false;
        }),
    );
  };
  const stop = async () => {
    const ended = driver.stop();
    await reviewing?.stop();
    await ended;
  };

  return {
    start: () => {
      driver.restore();
      reviewing ??= every(
        clock,
        reviewMs,
        async () => {
          await lookAfter().catch(({ message }) => log.debug("settlements were not looked after", { message }));
          await review();
        },
        (error) => log.error("a review of what is owed failed", { code: asMystError(error).code }),
      );
    },
    consider: (ref) => {
      const channel = ledger.channel(ref);
      if (channel && clearing.earns(channel) !== false) reviewSoon();
    },
    requestSettle: (reason, ref, cause = "due") => {
      const wanted = ref ? [ledger.channel(ref)].filter((channel) => channel !== undefined) : ledger.channels();
      for (const channel of wanted) {
        clearing.ends(channel);
        if (cause !== "due") clearing.want(keyOf(channel), cause);
      }
      log.debug("to be cleared where it is worth it", { reason, channels: wanted.length });
      reviewSoon(cause === "conflict");
    },
    relieve: async (signer) => {
      await price();
      const chosen = clearing.choose(
        ledger.channels().filter((channel) => signer === undefined || channel.signer === signer),
        true,
      );
      await driver.askAndWait(chosen);
    },
    settleNow: (chosen = () => true) => {
      const all = ledger.channels().filter((channel) => unsettledOn(channel) > 0n && chosen(channel));
      for (const channel of all) clearing.want(keyOf(channel), "hand");
      return driver.askAndWait(all.map(keyOf));
    },
    claimGas: () => clearing.costs()?.next ?? 0n,
    worthClearing: clearing.worth,
    overdue: clearing.overdue,
    reorganised: async () => {
      await readAnew(ledger.channels().map(keyOf));
      reviewSoon();
    },
    onSettled: driver.onSettled,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
