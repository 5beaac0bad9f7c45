import type { Discovery } from "../discovery/discovery.ts";
import { asMystError, isMystError, type MystError } from "../lib/errors.ts";
import { deadline } from "../lib/lifecycle.ts";
import { isRelayed } from "../network/diversity.ts";
import { channelCountsMs } from "../payments/heads/limits.ts";
import type { PayerLedger } from "../payments/payer-ledger.ts";
import { type Credit, creditOf, quantumLimit } from "../payments/quantum.ts";
import type { Terms } from "../payments/terms.ts";
import { type ConsumerDeps, type ConsumerSession, type ConsumerSessionOptions, openSession } from "../session/consumer-driver.ts";
import type { Judging } from "./judging.ts";
import { neverOpened } from "./outcome.ts";
import type { ConnectStep, ExitView } from "./types.ts";

export type OpeningDeps = {
  discovery: Pick<Discovery, "offers">;
  judging: Pick<Judging, "note">;
  session: ConsumerDeps & { ledger: Pick<PayerLedger, "channels" | "account"> };
  /** holds the ledger against what this exit has of ours, before anything more is signed for it */
  recall(exit: { peer: string }, signal: AbortSignal): Promise<void>;
};

const validityMs = 7 * 86_400_000;
const creditMs = 1_000;

export type Opened = { session: ConsumerSession; exit: ExitView; terms: Terms };

/** What becomes of a session, to be told while it does. */
export type Watch = Pick<ConsumerSessionOptions, "onChange" | "onPromise" | "onLost"> & {
  signal: AbortSignal;
  step(step: DistributiveOmit<ConnectStep, "atMs">): void;
};

export type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

/**
 * Opens a session with an exit that is connected. One that takes the proposal and comes to nothing by its own fault is remembered for it.
 * @throws what it fails with
 */
export async function openWith(deps: OpeningDeps, { exit, terms, budget, answerMs }: Opening, watch: Watch): Promise<Opened> {
  watch.step({ step: "agreed", perGiB: terms.perGiB, perHour: terms.perHour, quantum: terms.quantum, budget });
  await deps.recall(exit, answerMs === undefined ? watch.signal : deadline(answerMs, watch.signal));
  const opening = { ...deps.session, credit: creditNow(deps) };
  try {
    const session = await openReconciled(opening, { exit, terms, budget, ...watch, ...(answerMs !== undefined && { answerMs }) });
    watch.step({ step: "open", endpoint: session.endpoint });
    return { session, exit, terms };
  } catch (error) {
    const outcome = watch.signal.aborted ? undefined : neverOpened(asMystError(error).code);
    if (outcome) await deps.judging.note(exit, outcome);
    throw error;
  }
}

export type Opening = { exit: ExitView; terms: Terms; budget: bigint; answerMs?: number };

/** What is wrong with the one exit, and not with us. */
export const worthAnother = (error: MystError): boolean =>
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
function creditNow({ session: { ledger, clock }, discovery }: OpeningDeps): () => Credit {
  let known: { atMs: number; credit: Credit } | undefined;
  return () => {
    const nowMs = clock.nowMs();
    if (known && Math.abs(nowMs - known.atMs) < creditMs) return known.credit;
    const since = BigInt(nowMs - channelCountsMs) << 20n;
    const channels = ledger.channels().filter(({ last }) => last && last.seq >= since).length;
    const credit = creditOf(ledger.account()?.bond ?? 0n, { exits: discovery.offers().length, channels });
    known = { atMs: nowMs, credit };
    return credit;
  };
}

/** Who is behind NAT may need a relay, which is paid for beside it: half of the budget stays for that. */
export const budgetFor = ({ addresses, service }: Pick<ExitView, "addresses" | "service">, budget: bigint): bigint =>
  service === "wireguard" && addresses.length > 0 && addresses.every(isRelayed) ? inHalf(budget) : budget;
export const inHalf = (budget: bigint): bigint => budget / 2n;

export const termsFor = (exit: ExitView, budget: bigint, nowMs: number): Terms => ({
  perHour: exit.perHour,
  perGiB: exit.perGiB,
  quantum: quantumLimit(exit, budget),
  validUntilMs: nowMs + validityMs,
});
