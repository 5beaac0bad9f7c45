import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { asMystError } from "../lib/errors.ts";
import { every, type Loop, oneAtATime } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import type { Store } from "../lib/store.ts";
import type { Network } from "../network/network.ts";
import { feeOf } from "../payments/check.ts";
import type { ClearingCosts } from "../payments/clearing-policy.ts";
import type { ClearingDomain } from "../payments/eip712.ts";
import { keyOf } from "../payments/provider-ledger.ts";
import { createRecentSettlements } from "../payments/recent-settlements.ts";
import { ledgerTable } from "../payments/records.ts";
import { createSettleDriver, refOf, type SettleDriverOptions } from "../payments/settle-driver.ts";
import type { ClearingForOthers } from "../payments/settlement.ts";
import { takeChecks, type WatchIntakeOptions } from "./intake.ts";
import { chooseClear, feeFor, type Watched } from "./policy.ts";
import { openRows, type WatchedChannel } from "./rows.ts";

export type WatcherDeps = {
  network: Pick<Network, "answer">;
  chain: ClearingForOthers;
  domain: ClearingDomain;
  /** whose fees they are */
  self: Hex;
  /** what the network asks of a payer */
  minBond: bigint;
  store: Pick<Store, "table" | "write">;
  clock: Clock;
  log: Logger;
  /** the peers that are in the network now, as far as can be seen from here */
  here(): ReadonlySet<string>;
};

export type WatcherOptions = WatchIntakeOptions & Partial<SettleDriverOptions> & { /** default 60 s */ reviewMs?: number };

/** Amounts in base units; `cleared` and `earned` since the start. */
export type WatcherView = { feeBps: number; channels: number; providers: number; amount: bigint; cleared: number; earned: bigint };

/** What the contract tells that a watcher acts on. */
export type WatchedEvent = { type: string; signer: Hex; channel?: Hex };

/** Clears for providers that are away, by the checks that they have handed over; for the fee that these promise. */
export type Watcher = AsyncDisposable & {
  /** Takes in an event of the contract; the same again changes nothing. @throws RPC_UNREACHABLE: it is to be told again */
  take(event: WatchedEvent): Promise<void>;
  /** The chain was reorganised: reads anew what it says of all that is watched. */
  reorganised(): Promise<void>;
  view(): WatcherView;
  /** Ends without waiting for the chain; what is under way is taken up by the next start. */
  stop(): Promise<void>;
};

const hourMs = 3_600_000;
/** A view of an account is read again after so long, if no event has made it be before; so many at a time. */
const viewMs = 6 * hourMs;
const viewsAtOnce = 20;
/** What was cleared is kept so long: a reorganisation may undo it. A channel whose transactions fail again and again is left alone as long. */
const restMs = hourMs;

/** Opens what is kept on disk, goes on with what a former run has left, and answers providers from then on. */
export async function startWatcher(deps: WatcherDeps, options: WatcherOptions): Promise<Watcher> {
  const { chain, domain, self, store, clock, log, here } = deps;
  const { reviewMs = 60_000, retryMs = 2_000, stuckMs = 60_000 } = options;
  const table = ledgerTable(store, "watch", domain, self);
  const rows = await openRows(store, table, self);
  const recent = createRecentSettlements({ settlement: chain, store, table, log, clock });
  /** the highest cumulative that a transaction of this run has claimed: what bounced is not claimed again and again */
  const claimed = new Map<string, bigint>();
  const restUntilMs = new Map<string, number>();
  const paidAtMs = new Map<string, number>();
  let [cleared, earned] = [0, 0n];

  const isGood = (row: WatchedChannel) => Number(row.check.deadline) * 1000 > clock.nowMs();
  const watchedOf = (row: WatchedChannel, here: ReadonlySet<string>): Watched => {
    const key = keyOf(row);
    const had = claimed.get(key) ?? 0n;
    return {
      ...{ key, signer: row.signer, feeBps: row.check.feeBps, place: row.place, here: here.has(row.peer) },
      unsettled: row.cumulative - (had > row.paid ? had : row.paid),
      deadlineMs: Number(row.check.deadline) * 1000,
    };
  };
  const feeOn = (row: WatchedChannel): bigint => {
    const account = rows.account(row.signer);
    return account ? feeFor({ unsettled: row.cumulative - row.paid, feeBps: row.check.feeBps }, account) : 0n;
  };

  const driver = createSettleDriver<WatchedChannel>(
    {
      settlement: { ...chain, prepareSettle: (claims, _, limits) => chain.prepareClear(claims, limits) },
      ledger: {
        ...rows,
        channel: (ref) => {
          const row = rows.channel(ref);
          return row && isGood(row) ? row : undefined;
        },
      },
      ...{ store, table, log, clock, payout: self, recent },
      clearing: {
        asked: () => undefined,
        claim: (key, cumulative) => void claimed.set(key, cumulative),
        cleared: (keys) => {
          for (const key of keys) restUntilMs.delete(key);
        },
        givenUp: (keys) => {
          for (const key of keys) {
            claimed.delete(key);
            restUntilMs.set(key, clock.nowMs() + restMs);
          }
        },
        mostFor: (channels) => channels.reduce((sum, row) => sum + feeOn(row), 0n),
      },
    },
    { retryMs, stuckMs },
  );
  driver.onSettled(({ hash, claims }) => {
    const fees = claims.map((claim) => feeOf(claim.paid, rows.channel(claim)?.check.feeBps ?? 0));
    const fee = fees.reduce((sum, one) => sum + one, 0n);
    const count = claims.filter(({ paid }) => paid > 0n).length;
    [cleared, earned] = [cleared + count, earned + fee];
    log.info("cleared for others", { hash, claims: count, fee });
  });

  /** Lets go of checks that have ended, and of what was cleared a while ago. */
  const tidy = async () => {
    const over = rows.all().filter((row) => {
      const key = keyOf(row);
      if (row.paid < row.cumulative) paidAtMs.delete(key);
      else if (!paidAtMs.has(key)) paidAtMs.set(key, clock.nowMs());
      return !isGood(row) || clock.nowMs() - (paidAtMs.get(key) ?? clock.nowMs()) > restMs;
    });
    if (over.length === 0) return;
    const drop = over.map(keyOf);
    await rows.change(() => ({ drop }));
    for (const key of drop) for (const map of [claimed, restUntilMs, paidAtMs]) map.delete(key);
  };
  const readOld = async () => {
    const signers = [...new Set(rows.all().map(({ signer }) => signer))];
    const old = signers.filter((signer) => clock.nowMs() - (rows.account(signer)?.readAtMs ?? 0) > viewMs);
    for (const signer of old.slice(0, viewsAtOnce)) await rows.remember(signer, await chain.account(signer));
  };
  const clear = async () => {
    const open = rows.all().filter((row) => row.cumulative > row.paid && (restUntilMs.get(keyOf(row)) ?? 0) <= clock.nowMs());
    if (open.length === 0) return;
    const costs: ClearingCosts = await chain.clearCosts();
    const peers = here();
    const watched = open.map((row) => watchedOf(row, peers));
    const chosen = chooseClear(watched, rows.account, costs, clock.nowMs());
    if (chosen.length > 0 && !driver.ended()) driver.ask(chosen, false);
  };
  const readAnew = async (row: WatchedChannel) => {
    claimed.delete(keyOf(row));
    await rows.settled(row, await chain.paid(row.signer, row.channel), true);
  };
  const undo = async ({ channels }: { channels: string[] }) => {
    for (const row of channels.flatMap((key) => rows.channel(refOf(key)) ?? [])) await readAnew(row);
  };
  const review = oneAtATime(async () => {
    await tidy();
    await Promise.all([readOld(), recent.lookAfter(undo, driver.ended)]).catch(({ message }) =>
      log.debug("what is watched was not looked after", { message }),
    );
    await clear();
  });
  const onError = (error: unknown) => log.warn("what is watched could not be reviewed", { code: asMystError(error).code });
  const reviewSoon = () => driver.track(review().catch(onError));

  driver.restore();
  const intake = await takeChecks({ ...deps, rows }, options);
  const reviewing: Loop = every(clock, reviewMs, review, onError);

  const stop = async () => {
    const ended = driver.stop();
    await reviewing.stop();
    await ended;
  };
  return {
    take: async ({ type, signer, channel }) => {
      intake.changed(signer);
      if (!rows.account(signer)) return;
      await rows.remember(signer, await chain.account(signer));
      const row = type === "cleared" && channel && rows.channel({ signer, channel });
      if (row) await rows.settled(row, await chain.paid(signer, row.channel));
      reviewSoon();
    },
    reorganised: async () => {
      for (const signer of new Set(rows.all().map((row) => row.signer))) await rows.remember(signer, await chain.account(signer));
      for (const row of rows.all()) if (row.paid > 0n) await readAnew(row);
    },
    view: () => {
      const open = rows.all().filter((row) => row.cumulative > row.paid);
      return {
        ...{ feeBps: options.feeBps, channels: open.length, cleared, earned },
        providers: new Set(open.map(({ peer }) => peer)).size,
        amount: open.reduce((sum, { cumulative, paid }) => sum + cumulative - paid, 0n),
      };
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
