import { larger, smaller } from "../lib/bigint.ts";
import type { ErrorCode } from "../lib/errors.ts";
import type { Step } from "../lib/machine.ts";
import { seenAfterMs } from "../payments/heads/limits.ts";
import { acknowledged, type Line, counted as seen, unknownLine } from "../payments/line.ts";
import { cumulativeFor, nextPurchase, type Purchase } from "../payments/meter.ts";
import type { SignedPromise } from "../payments/promise.ts";
import { type Credit, QUANTUM_MS, quantumBytes, quantumMost, quantumWithin } from "../payments/quantum.ts";
import { due, type Terms, type Usage } from "../payments/terms.ts";
import { consumerPatience } from "../services/unanswered.ts";
import type { ConnectionInfo, ToConsumer } from "./messages.ts";

/**
 * The consumer's side of a session, as a transition table.
 *
 *   QUOTED --accepted--> OPEN --opened--> ACTIVE <--> DISPUTED --disconnect--> CLOSING --closed--> CLOSED
 *
 * It buys ahead what the service is about to use, one purchase at a time: the next is signed only once the exit has
 * acknowledged the last, so an exit that falls silent holds at most one quantum that it has not served.
 */
export type ConsumerState = {
  phase: "QUOTED" | "OPEN" | "ACTIVE" | "DISPUTED" | "CLOSING" | "CLOSED";
  terms: Terms;
  /** base units: what the used and the prepaid of this session may come to */
  budget: bigint;
  /** the channel as it stood when the session began; their difference was prepaid and not used */
  start: { cumulative: bigint; consumed: bigint };
  /** the channel's cumulative now */
  cumulative: bigint;
  /** what this session's promises cover */
  bought: Usage;
  /** what we hold for used: own count, and of time the exit's where it has counted less */
  used: Usage;
  /** own count of time: what has passed without waits beyond the grace */
  ownMs: number;
  /** ms since the service was opened, waits and all */
  elapsedMs: number;
  /** what is signed and not acknowledged: the purchase's number, and when it was made by `elapsedMs` */
  pending: { n: number; sinceMs: number } | undefined;
  /** purchases made so far; the proposal's is number 0 */
  purchases: number;
  promises: number;
  /** when the last purchase was made, by `elapsedMs` */
  boughtAtMs: number;
  /** what the line carries, as far as it has been seen */
  line: Line;
  /** what a purchase may cost to be taken at once; undefined: as much as the terms allow */
  credit: Credit | undefined;
  /** since when, by `elapsedMs`, promises have been signed without a rest, and when the last was */
  paying: { sinceMs: number; lastMs: number } | undefined;
  /** when, by `elapsedMs`, the exit's invoice first went above our count */
  disputedSinceMs: number | undefined;
  /** since when, by `elapsedMs`, nothing is left by the exit's count, and by our own there is nothing to buy */
  starvedSinceMs: number | undefined;
  /** the exit's last invoice */
  invoiced: Usage;
  /** `ownMs` when it came */
  invoicedAtMs: number | undefined;
  reason: { code: ErrorCode; message: string } | undefined;
};

export type ConsumerEvent =
  /** the channel's last promise, when there is one */
  | { type: "start"; stored: SignedPromise | undefined }
  | { type: "signed"; promise: SignedPromise }
  /** `elapsedMs`: when, since the service was opened; absent before */
  | { type: "received"; message: ToConsumer; elapsedMs?: number }
  | { type: "opened" }
  /**
   * `used`: own count, without waits beyond the grace; `elapsedMs`: with them; `waitingMs`: how long the service has waited for an answer,
   * 0 when it waits for none; `silentMs`: how long the exit has said nothing; `credit`: as it is by now; `droppedBytes`: what has come as
   * far as this machine and was thrown away by it
   */
  | {
      type: "used";
      used: Usage;
      elapsedMs: number;
      waitingMs: number;
      silentMs: number;
      credit?: Credit | undefined;
      droppedBytes?: bigint;
    }
  | { type: "disconnect" }
  | { type: "failed"; code: ErrorCode; message: string }
  | { type: "serviceClosed"; used: Usage };

export type ConsumerEffect =
  /** put the next promise on disk; its `signed` event follows */
  | { type: "sign"; cumulative: bigint; consumed: bigint }
  | { type: "propose"; bought: Usage; promise: SignedPromise | undefined }
  | { type: "pay"; n: number; bought: Usage; promise: SignedPromise | undefined }
  | { type: "openService"; connection: ConnectionInfo }
  | { type: "closeService" }
  | { type: "sendClose" }
  /** put on disk what the session used up of the channel; it is over */
  | { type: "finish"; consumed: bigint };

/** No answer to a purchase or a close for this long ends the session, and so does no word at all: an exit tells its count every second. */
export const patienceMs = 10_000;
/** So much is between two purchases at least: no exit has to verify and put on disk more than ten promises a second of one session. */
export const buyEveryMs = 100;

/** By then the exit's first head counts as seen by others, however late its word came to us. */
const knownAfterMs = seenAfterMs + 500;
/** a little less than what an exit takes for a rest */
const restMs = 55_000;

const nothing: Usage = { bytes: 0n, ms: 0 };

export const initialConsumer = (
  options: Pick<ConsumerState, "terms" | "budget" | "start"> & Partial<Pick<ConsumerState, "credit">>,
): ConsumerState => ({
  phase: "QUOTED",
  credit: undefined,
  paying: undefined,
  ...options,
  cumulative: options.start.cumulative,
  bought: nothing,
  used: nothing,
  ownMs: 0,
  elapsedMs: 0,
  pending: undefined,
  purchases: 0,
  promises: 0,
  boughtAtMs: -buyEveryMs,
  line: unknownLine,
  disputedSinceMs: undefined,
  starvedSinceMs: undefined,
  invoiced: nothing,
  invoicedAtMs: undefined,
  reason: undefined,
});

type Result = ReturnType<Step<ConsumerState, ConsumerEvent, ConsumerEffect>>;
const stay = (state: ConsumerState): Result => ({ state, effects: [] });

/** What the session has used up of the channel, carried money included. Nothing is carried in time that is not bought. */
export const consumedBy = (state: ConsumerState): bigint => {
  const { terms, used, bought } = state;
  const consumed = state.start.consumed + due(terms, { bytes: used.bytes, ms: Math.min(used.ms, bought.ms) });
  return smaller(consumed, state.cumulative);
};

/** How much to be ahead: what the line takes, and no more than an exit takes at once. */
function quantumOf({ terms, used, line, credit, paying, elapsedMs }: ConsumerState): Usage {
  const quantum = { bytes: quantumBytes(used.bytes, line, quantumMost(terms)), ms: QUANTUM_MS };
  if (!credit) return quantum;
  const isKnown = paying && elapsedMs - paying.sinceMs >= knownAfterMs && elapsedMs - paying.lastMs <= restMs;
  return quantumWithin(terms, quantum, isKnown ? credit.later : credit.first);
}

const purchaseFor = (state: ConsumerState): Purchase =>
  nextPurchase({ ...state, invoice: state.invoiced, carriedIn: carriedIn(state), quantum: quantumOf(state) });

/**
 * Takes over an own count. The exit waits longer than we do, so its last invoice and what has passed since may be less. What this machine has thrown
 * away was served, as far as the exit may have counted it: its invoice is as old as a quantum at most.
 */
const counted = (state: ConsumerState, own: Usage, droppedBytes = 0n): ConsumerState => {
  const { invoiced, invoicedAtMs } = state;
  const theirsMs = invoicedAtMs === undefined ? own.ms : invoiced.ms + Math.max(0, own.ms - invoicedAtMs);
  const bytes = smaller(own.bytes + droppedBytes, larger(own.bytes, invoiced.bytes + quantumOf(state).bytes));
  return { ...state, ownMs: own.ms, used: { bytes, ms: Math.min(own.ms, theirsMs) } };
};

/**
 * By the exit's count nothing is left of what is bought. It bills what is lost on the way only beyond an allowance (protocol.md, service
 * `wireguard`), of which 256 KiB are in this count and in its credit are not; a packet may be larger than what is left.
 */
const usedUp = ({ terms, bought, invoiced }: ConsumerState): boolean => terms.perGiB > 0n && bought.bytes - invoiced.bytes <= usedUpWithin;
const usedUpWithin = 264n * 1024n;

/** Whether a count of the exit's is more than a quantum over our own. */
const overcharges = (state: ConsumerState, invoiced: Usage): boolean =>
  purchaseFor({ ...state, invoiced, used: { bytes: state.used.bytes, ms: state.ownMs } }).overcharged;

/** Prepaid by earlier sessions and not used, base units. */
const carriedIn = ({ start }: ConsumerState): bigint => start.cumulative - start.consumed;

/** Makes a purchase. Its promise is signed first; what costs nothing more needs none. */
function buy(state: ConsumerState, bought: Usage): Result {
  const cumulative = cumulativeFor(state.terms, bought, { cumulative: state.start.cumulative, carriedIn: carriedIn(state) });
  const rises = cumulative > state.cumulative;
  const lastMs = state.elapsedMs;
  const goesOn = state.paying && lastMs - state.paying.lastMs <= restMs ? state.paying.sinceMs : lastMs;
  const next: ConsumerState = {
    ...state,
    bought,
    cumulative,
    pending: { n: state.purchases, sinceMs: state.elapsedMs },
    purchases: state.purchases + 1,
    boughtAtMs: state.elapsedMs,
    paying: rises ? { sinceMs: goesOn, lastMs } : state.paying,
    promises: state.promises + (rises ? 1 : 0),
  };
  const effect: ConsumerEffect = rises
    ? { type: "sign", cumulative, consumed: consumedBy(next) }
    : { type: "pay", n: state.purchases, bought, promise: undefined };
  return { state: next, effects: [effect] };
}

export const stepConsumer: Step<ConsumerState, ConsumerEvent, ConsumerEffect> = (state, event) => {
  if (state.phase === "CLOSED") return stay(state);
  switch (event.type) {
    case "start":
      return start(state, event.stored);
    case "signed":
      return signed(state, event.promise);
    case "received":
      return received(state, event.message, event.elapsedMs ?? state.elapsedMs);
    case "opened":
      return stay(state.phase === "OPEN" ? { ...state, phase: "ACTIVE" } : state);
    case "used":
      return used(state, event);
    case "disconnect":
      return leave(state, undefined);
    case "failed":
      return state.phase === "QUOTED" || state.phase === "CLOSING"
        ? finish({ ...state, reason: state.reason ?? event })
        : leave(state, { code: event.code, message: event.message }, true);
    case "serviceClosed":
      if (state.phase !== "CLOSING") return stay(state);
      return { state: counted(state, event.used), effects: [{ type: "sendClose" }] };
  }
};

/** The proposal carries the first purchase: a new promise, or the channel's last one while money is left on it. */
function start(state: ConsumerState, stored: SignedPromise | undefined): Result {
  const { buy: bought, exhausted } = purchaseFor(state);
  if (bought === undefined || exhausted)
    return finish({ ...state, reason: { code: "BUDGET_TOO_SMALL", message: "the budget does not buy the first quantum" } });
  const first = buy(state, bought);
  if (first.effects[0]?.type === "sign") return first;
  return { state: first.state, effects: [{ type: "propose", bought, promise: stored }] };
}

function signed(state: ConsumerState, promise: SignedPromise): Result {
  if (state.phase === "QUOTED") return { state, effects: [{ type: "propose", bought: state.bought, promise }] };
  if (!state.pending) return stay(state);
  // Also while leaving, before the close goes out: what is signed is owed, and the exit clears only what it has.
  return { state, effects: [{ type: "pay", n: state.pending.n, bought: state.bought, promise }] };
}

function received(state: ConsumerState, message: ToConsumer, elapsedMs: number): Result {
  switch (message.t) {
    case "accepted":
      if (state.phase !== "QUOTED") return stay(state);
      return { state: { ...state, phase: "OPEN", pending: undefined }, effects: [{ type: "openService", connection: message.connection }] };
    case "refused": {
      const code = message.code === "PAYER_CONFLICT" ? "PAYER_CONFLICT" : "PEER_REFUSED";
      const reason = { code, message: `${message.code}: ${message.message}` } as const;
      return state.phase === "QUOTED" ? finish({ ...state, reason }) : leave(state, reason);
    }
    case "ack":
      if (state.pending?.n !== message.n) return stay(state);
      return stay({ ...state, pending: undefined, line: acknowledged(state.line, elapsedMs - state.pending.sinceMs) });
    case "invoice":
      return stay({ ...state, invoiced: message.used, invoicedAtMs: state.ownMs });
    case "closed":
      return state.phase === "CLOSING" ? finish({ ...state, used: finalCount(state, message.used) }) : stay(state);
  }
}

function used(state: ConsumerState, event: Extract<ConsumerEvent, { type: "used" }>): Result {
  if (state.phase !== "ACTIVE" && state.phase !== "DISPUTED" && state.phase !== "OPEN") return stay(state);
  const { elapsedMs, waitingMs, silentMs, credit = state.credit } = event;
  const next: ConsumerState = {
    ...counted(state, event.used, event.droppedBytes),
    elapsedMs,
    credit,
    line: seen(state.line, elapsedMs, event.used.bytes, usedUp(state)),
  };
  if (next.pending && elapsedMs - next.pending.sinceMs > patienceMs)
    return leave(next, { code: "PEER_TIMEOUT", message: "the exit did not acknowledge a promise" }, true);
  if (silentMs > patienceMs) return leave(next, { code: "PEER_TIMEOUT", message: "the exit has fallen silent" }, true);
  if (overcharges(next, next.invoiced)) {
    const since = next.disputedSinceMs ?? elapsedMs;
    const disputed: ConsumerState = { ...next, phase: "DISPUTED", disputedSinceMs: since };
    return elapsedMs - since > patienceMs
      ? leave(disputed, { code: "OVERCHARGED", message: "the exit counts more than was used" })
      : stay(disputed);
  }
  const honest: ConsumerState = next.phase === "DISPUTED" ? { ...next, phase: "ACTIVE", disputedSinceMs: undefined } : next;
  const purchase = purchaseFor({ ...honest, used: served(honest, waitingMs, silentMs) });
  if (purchase.exhausted) return leave(honest, { code: "BUDGET_EXHAUSTED", message: "the budget is used up" });
  const starves = usedUp(honest) && !honest.pending && (purchase.buy?.bytes ?? honest.bought.bytes) === honest.bought.bytes;
  const starvedSinceMs = starves ? (honest.starvedSinceMs ?? elapsedMs) : undefined;
  if (starvedSinceMs !== undefined && elapsedMs - starvedSinceMs > patienceMs)
    return leave(honest, { code: "OVERCHARGED", message: "the exit counts more than has arrived: too much is lost on the way" });
  const fed: ConsumerState = { ...honest, starvedSinceMs };
  if (!purchase.buy || fed.pending || elapsedMs - fed.boughtAtMs < buyEveryMs) return stay(fed);
  return buy(fed, purchase.buy);
}

/** What was certainly served: time without an answer or without any sign of life was not, the grace of this wait included. */
const served = ({ used: { bytes, ms } }: ConsumerState, waitingMs: number, silentMs: number): Usage => ({
  bytes,
  ms: Math.max(0, ms - Math.max(Math.min(waitingMs, consumerPatience.graceMs), silentMs)),
});

/** The exit's final count stands, unless it is above our own by more than may have been under way. */
const finalCount = (state: ConsumerState, theirs: Usage): Usage => (overcharges(state, theirs) ? state.used : theirs);

/** Ends the traffic, then the session; with nobody to answer, at once. */
function leave(state: ConsumerState, reason: ConsumerState["reason"], alone = false): Result {
  if (state.phase === "QUOTED") return finish({ ...state, reason });
  if (state.phase === "CLOSING") return stay(state);
  const closing: ConsumerState = { ...state, phase: "CLOSING", reason };
  if (!alone) return { state: closing, effects: [{ type: "closeService" }] };
  const done = finish(closing);
  return { state: done.state, effects: [{ type: "closeService" }, ...done.effects] };
}

const finish = (state: ConsumerState): Result => ({
  state: { ...state, phase: "CLOSED" },
  effects: [{ type: "finish", consumed: consumedBy(state) }],
});
