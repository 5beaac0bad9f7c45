import { asMystError, isMystError, MystError } from "../lib/errors.ts";
import { deadline } from "../lib/lifecycle.ts";
import { formatAmount } from "../lib/units.ts";
import { channelCountsMs } from "../payments/heads/limits.ts";
import type { PayerLedger } from "../payments/payer-ledger.ts";
import { type Credit, creditOf, quantumLimit, quantumMoney } from "../payments/quantum.ts";
import type { AccountView } from "../payments/settlement.ts";
import type { Terms } from "../payments/terms.ts";
import { type ConsumerDeps, type ConsumerSession, type ConsumerSessionOptions, openSession } from "../session/consumer-driver.ts";
import { type FindingDeps, findExits, leastEvidence, queryOf, tries } from "./finding.ts";
import type { Judging } from "./judging.ts";
import { hasEnough } from "./listing.ts";
import { neverOpened } from "./outcome.ts";
import { inReach } from "./reaching.ts";
import type { ConnectOptions, ConnectStep, ExitView } from "./types.ts";
import { exitViews } from "./views.ts";

export type ConnectingDeps = Omit<FindingDeps, "judging"> & {
  judging: Pick<Judging, "choose" | "shown" | "note">;
  session: ConsumerDeps & { ledger: Pick<PayerLedger, "channels"> };
  /** our own account, fresh or as last read; checked against the ledger */
  account(): Promise<AccountView>;
  /** holds the ledger against what this exit has of ours, before anything more is signed for it */
  recall(exit: { peer: string }, signal: AbortSignal): Promise<void>;
};

const dialMs = 5_000;
/** times that news of unreachable exits are waited for, and tried */
const rounds = 3;
/** for word of an exit that was not where it was said to be */
const newsMs = 8_000;
const validityMs = 7 * 86_400_000;
const creditMs = 1_000;

export type Opened = { session: ConsumerSession; exit: ExitView; terms: Terms };

/**
 * Finds exits, picks one of the best that fit, and opens a session with it; the next one where an exit does not answer or is full.
 * @throws CONSUMER_PRICE_ZERO, BUDGET_TOO_SMALL, NO_DEPOSIT, INSUFFICIENT_FUNDS, ACCOUNT_CLOSING, NO_MATCHING_EXIT, PRICE_OVER_CAP,
 * EXIT_FULL, RPC_UNREACHABLE, and what the last exit tried failed with
 */
export async function connectToExit(
  deps: ConnectingDeps,
  options: ConnectOptions,
  watch: Pick<ConsumerSessionOptions, "onChange" | "onPromise"> & {
    signal: AbortSignal;
    step(step: DistributiveOmit<ConnectStep, "atMs">): void;
  },
): Promise<Opened> {
  checkMoney(options, deps);
  await deps.session.service.check();
  const search = findExits(deps, options, watch.signal);
  search.catch(() => undefined);
  const account = await deps.account();
  checkAccount(account, deps);
  const session = { ...deps.session, credit: creditNow(deps, account.bond) };
  let exits = await search;
  const [best] = exits;
  if (best) watch.step({ step: "found", matching: exits.length, exit: best });
  let last: MystError | undefined;
  const failed = new Map<string, number>();
  for (let round = 0; round < rounds && exits.length > 0; round += 1) {
    const dial = ({ peer, addresses }: ExitView) => deps.network.connect(peer, addresses, deadline(dialMs, watch.signal));
    for await (const { exit, error: unreached } of inReach(exits.slice(0, tries), dial, deps.session.clock, watch.signal)) {
      const terms = termsFor(exit, options.budget, deps.session.clock.nowMs());
      checkBudget(options.budget, terms, account, deps);
      watch.step({ step: "agreed", perGiB: terms.perGiB, perHour: terms.perHour, quantum: terms.quantum, budget: options.budget });
      let isProposed = false;
      try {
        if (unreached) throw unreached;
        await deps.recall(exit, watch.signal);
        isProposed = true;
        const opened = await openReconciled(session, { exit, terms, budget: options.budget, ...watch });
        watch.step({ step: "open", endpoint: opened.endpoint });
        return { session: opened, exit, terms };
      } catch (error) {
        last = asMystError(error);
        const outcome = isProposed && !watch.signal.aborted && neverOpened(last.code);
        if (outcome) await deps.judging.note(exit, outcome);
        if (watch.signal.aborted || !worthAnother(last)) throw last;
        deps.session.log.info("an exit could not be used", { peer: exit.peer, code: last.code });
        failed.set(exit.peer, exit.expiresMs);
      }
    }
    exits = last && unreachable(last) ? await newsOf(deps, options, failed, watch.signal) : [];
  }
  throw last ?? new MystError("NO_MATCHING_EXIT", "no exit was found");
}

/**
 * Offers outlive a restart of either side, addresses do not: an exit that was remembered where it is no more may be heard of again in
 * a moment. The next offer that fits and is not one that failed; none when none comes in time.
 */
async function newsOf(
  deps: ConnectingDeps,
  options: ConnectOptions,
  failed: ReadonlyMap<string, number>,
  signal: AbortSignal,
): Promise<ExitView[]> {
  for await (const known of deps.discovery.find(queryOf(deps, options), deadline(newsMs, signal))) {
    const exits = exitViews(known).filter(
      (exit) =>
        exit.service === options.service &&
        exit.perGiB <= options.maxPerGiB &&
        exit.perHour <= options.maxPerHour &&
        exit.expiresMs !== failed.get(exit.peer),
    );
    const shown = await deps.judging.shown(exits);
    const fit = shown.filter((exit) => hasEnough(exit, { evidence: leastEvidence(options) }));
    if (fit.length > 0) return fit;
  }
  return [];
}

const unreachable = ({ code }: MystError): boolean => code === "PEER_UNREACHABLE" || code === "PEER_TIMEOUT";

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

/** What is wrong with the one exit, and not with us. */
const worthAnother = (error: MystError): boolean =>
  [
    "PEER_UNREACHABLE",
    "PEER_TIMEOUT",
    "PEER_REFUSED",
    "EXIT_FULL",
    "OFFER_EXPIRED",
    "SERVICE_UNKNOWN",
    "PAYER_REFUSED",
    "PROMISE_REFUSED",
    "CREDIT_MISMATCH",
    "MALFORMED",
    "TUNNEL_FAILED",
  ].includes(error.code);

/**
 * After a crash the two ledgers may differ in what was used up; we take the exit's word for up to one quantum, and for nothing that
 * was promised only now: an exit that takes a proposal's promise and calls it used up would get another for it.
 */
async function openReconciled(deps: ConsumerDeps, options: ConsumerSessionOptions): Promise<ConsumerSession> {
  const before = await deps.ledger.channelWith(options.exit);
  try {
    return await openSession(deps, options);
  } catch (error) {
    const theirs = isMystError(error, "CREDIT_MISMATCH") ? error.meta.consumed : undefined;
    if (typeof theirs !== "bigint") throw error;
    if (theirs > before.cumulative || theirs - before.consumed > options.terms.quantum) throw error;
    await deps.ledger.consume(before.channel, theirs);
    return openSession(deps, options);
  }
}

/** What exits take at once from a payer like us, by what we know of them; looked at anew each second at most. */
function creditNow({ session: { ledger, clock }, discovery }: ConnectingDeps, bond: bigint): () => Credit {
  let known: { atMs: number; credit: Credit } | undefined;
  return () => {
    const nowMs = clock.nowMs();
    if (known && Math.abs(nowMs - known.atMs) < creditMs) return known.credit;
    const since = BigInt(nowMs - channelCountsMs) << 20n;
    const channels = ledger.channels().filter(({ last }) => last && last.seq >= since).length;
    const credit = creditOf(bond, { exits: discovery.offers().length, channels });
    known = { atMs: nowMs, credit };
    return credit;
  };
}

const termsFor = (exit: ExitView, budget: bigint, nowMs: number): Terms => ({
  perHour: exit.perHour,
  perGiB: exit.perGiB,
  quantum: quantumLimit(exit, budget),
  validUntilMs: nowMs + validityMs,
});

function checkMoney({ budget, maxPerGiB }: ConnectOptions, { unit }: ConnectingDeps): void {
  if (maxPerGiB <= 0n)
    throw new MystError("CONSUMER_PRICE_ZERO", "a price cap of 0 finds no exit that can be held to its word", {
      hint: `give --max-price-gib with a price, for example 0.2${unit.symbol.toLowerCase()}`,
    });
  if (budget <= 0n)
    throw new MystError("BUDGET_TOO_SMALL", "a budget of 0 buys nothing", {
      hint: `give --budget, for example 1${unit.symbol.toLowerCase()}`,
    });
}

function checkAccount(account: AccountView, { unit }: ConnectingDeps): void {
  const deposit = `mystnode wallet deposit 5${unit.symbol.toLowerCase()}`;
  if (account.closeAtMs !== undefined)
    throw new MystError("ACCOUNT_CLOSING", "this account is being closed: nothing may be promised from it", {
      hint: "take the money out with 'mystnode wallet withdraw', then begin anew with 'mystnode init' in another --data-dir",
    });
  if (account.line === 0n)
    throw new MystError("NO_DEPOSIT", "exits accept promises only against a deposit, and there is none", {
      hint: `make one with '${deposit}'`,
    });
  if (account.balance === 0n) throw new MystError("INSUFFICIENT_FUNDS", "the deposit is used up", { hint: `add to it with '${deposit}'` });
}

function checkBudget(budget: bigint, terms: Terms, account: AccountView, { unit }: ConnectingDeps): void {
  const least = quantumMoney(terms, 0n);
  if (budget < least)
    throw new MystError("BUDGET_TOO_SMALL", `the budget does not buy one quantum (${formatAmount(least, unit)})`, {
      hint: `give --budget of at least ${formatAmount(least, unit)}`,
      meta: { least },
    });
  if (account.balance < least)
    throw new MystError("INSUFFICIENT_FUNDS", `the deposit has ${formatAmount(account.balance, unit)} left`, {
      hint: `add to it with 'mystnode wallet deposit 5${unit.symbol.toLowerCase()}'`,
    });
}
