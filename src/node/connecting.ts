import { asMystError, MystError } from "../lib/errors.ts";
import { deadline } from "../lib/lifecycle.ts";
import { formatAmount } from "../lib/units.ts";
import { quantumMoney } from "../payments/quantum.ts";
import type { AccountView } from "../payments/settlement.ts";
import type { Terms } from "../payments/terms.ts";
import { type FindingDeps, findExits, inOrder, queryOf, tries } from "./finding.ts";
import type { Judging } from "./judging.ts";
import { budgetFor, type Opened, type OpeningDeps, openWith, termsFor, type Watch, worthAnother } from "./proposing.ts";
import { inReach } from "./reaching.ts";
import type { ConnectOptions, ExitView } from "./types.ts";

export type ConnectingDeps = OpeningDeps &
  Omit<FindingDeps, "judging"> & {
    judging: Pick<Judging, "choose" | "shown" | "note">;
    /** our own account, fresh or as last read; checked against the ledger */
    account(): Promise<AccountView>;
  };

const dialMs = 5_000;
/** times that news of unreachable exits are waited for, and tried */
const rounds = 3;
/** for word of an exit that was not where it was said to be */
const newsMs = 8_000;

/**
 * Finds exits, picks one of the best that fit, and opens a session with it; the next one where an exit does not answer or is full.
 * @throws CONSUMER_PRICE_ZERO, BUDGET_TOO_SMALL, NO_DEPOSIT, INSUFFICIENT_FUNDS, ACCOUNT_CLOSING, NO_MATCHING_EXIT, PRICE_OVER_CAP,
 * EXIT_FULL, RPC_UNREACHABLE, and what the last exit tried failed with
 */
export async function connectToExit(deps: ConnectingDeps, options: ConnectOptions, watch: Watch): Promise<Opened> {
  await checkReady(deps, options);
  const search = findExits(deps, options, watch.signal);
  search.catch(() => undefined);
  const account = await deps.account();
  checkAccount(account, deps);
  let exits = await search;
  const [best] = exits;
  if (best) watch.step({ step: "found", matching: exits.length, exit: best });
  let last: MystError | undefined;
  const failed = new Map<string, number>();
  for (let round = 0; round < rounds && exits.length > 0; round += 1) {
    const dial = ({ peer, addresses }: ExitView) => deps.network.connect(peer, addresses, deadline(dialMs, watch.signal));
    for await (const { exit, error: unreached } of inReach(exits.slice(0, tries), dial, deps.session.clock, watch.signal)) {
      const budget = budgetFor(exit, options.budget);
      const terms = termsFor(exit, budget, deps.session.clock.nowMs());
      checkBudget(budget, terms, account, deps);
      try {
        if (unreached) throw unreached;
        return await openWith(deps, { exit, terms, budget }, watch);
      } catch (error) {
        last = asMystError(error);
        if (watch.signal.aborted || !worthAnother(last)) throw last;
        deps.session.log.info("an exit could not be used", { peer: exit.peer, code: last.code });
        failed.set(exit.peer, exit.expiresMs);
      }
    }
    exits = last && unreachable(last) ? await newsOf(deps, options, failed, watch.signal) : [];
  }
  throw last ?? new MystError("NO_MATCHING_EXIT", "no exit was found");
}

/** That there is something to pay with for what was asked, and that it could be opened here. @throws as `connectToExit` does, before it looks for an exit */
export async function checkReady(deps: ConnectingDeps, options: ConnectOptions): Promise<void> {
  checkMoney(options, deps);
  await deps.session.service.check();
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
    const fit = (await inOrder(deps, [known], options)).filter(({ peer, expiresMs }) => expiresMs !== failed.get(peer));
    if (fit.length > 0) return fit;
  }
  return [];
}

const unreachable = ({ code }: MystError): boolean => code === "PEER_UNREACHABLE" || code === "PEER_TIMEOUT";

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

export function checkAccount(account: AccountView, { unit }: ConnectingDeps): void {
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
