import { larger, smaller } from "../lib/bigint.ts";
import type { ErrorCode } from "../lib/errors.ts";
import type { Step } from "../lib/machine.ts";
import type { SignedPromise } from "../payments/promise.ts";
import { due, type Terms, type Usage } from "../payments/terms.ts";
import type { ConnectionInfo } from "./messages.ts";

/**
 * The provider's side of a session, as a transition table.
 *
 *   QUOTED --admitted--> ACTIVE <--> SUSPENDED --close, lost, idle--> CLOSING --ended--> CLEARABLE
 *
 * Nothing is carried that is not bought, and nothing is bought before its promise is on disk. QUOTED ends in REFUSED where the
 * proposal does not stand. What is CLEARABLE is the settler's: it clears channels, whichever sessions filled them, and the
 * session's record tells how far it has come.
 */
export type ProviderState = {
  phase: "QUOTED" | "ACTIVE" | "SUSPENDED" | "CLOSING" | "CLEARABLE" | "REFUSED";
  terms: Terms;
  /** the channel as it stood when the session began */
  start: { cumulative: bigint; consumed: bigint };
  cumulative: bigint;
  /** what the accepted promises of this session cover */
  bought: Usage;
  /** own count: without waits for an answer beyond the grace, and without time that was not bought */
  used: Usage;
  /** ms since admission, waits and all */
  elapsedMs: number;
  /** time in which nothing was carried because none was bought: it never counts, also not when more is bought later */
  unboughtMs: number;
  /** the last count told to the consumer, and when by `elapsedMs` */
  invoiced: { bytes: bigint; atMs: number };
  /** a purchase that is being checked and put on disk; one at a time */
  checking: { n: number; bought: Usage } | undefined;
  promises: number;
  /** the number of the last purchase that was made */
  lastN: number;
  /** since when, by `elapsedMs`, nothing could be carried */
  suspendedSinceMs: number | undefined;
  /** when the last purchase was made, by `elapsedMs` */
  boughtAtMs: number;
  /** when the service was last told what it may carry and how long, by `elapsedMs` */
  allowedAtMs: number;
  reason: { code: ErrorCode; message: string } | undefined;
};

export type ProviderEvent =
  /** `consumed`: with a proposal, what the consumer has as used up of the channel */
  | { type: "purchase"; n: number; bought: Usage; promise: SignedPromise | undefined; consumed?: bigint }
  /** its promise is on disk (or it needed none) */
  | { type: "purchased"; cumulative: bigint }
  /** `consumed`: what is used up, where that is why */
  | { type: "declined"; code: ErrorCode; message: string; consumed?: bigint }
  | { type: "admitted"; connection: ConnectionInfo }
  /** `used`: own count, without waits beyond the grace; `elapsedMs`: with them; `waiting`: for an answer, now */
  | { type: "used"; used: Usage; elapsedMs: number; waiting: boolean }
  /** the consumer has come on another stream */
  | { type: "rejoined" }
  | { type: "closeAsked" }
  /** the stream or the peer is gone, or the node stops */
  | { type: "lost"; code: ErrorCode; message: string }
  /** we want nothing more of this payer, and tell it so */
  | { type: "expelled"; code: ErrorCode; message: string }
  /** the final count */
  | { type: "ended"; used: Usage };

export type ProviderEffect =
  /** check the promise and put it on disk; `purchased` or `declined` follows */
  | { type: "accept"; promise: SignedPromise | undefined; consumed: bigint }
  | { type: "admit" }
  /** carry up to so many bytes in all, for the paid time that is left */
  | { type: "allow"; bytes: bigint }
  | { type: "suspend" }
  | { type: "sendAccepted"; connection: ConnectionInfo }
  | { type: "sendRefused"; code: ErrorCode; message: string; consumed?: bigint }
  | { type: "sendAck"; n: number }
  /** the stream on which the consumer has come is the session's from here on */
  | { type: "takeStream"; n: number }
  | { type: "sendInvoice"; used: Usage }
  | { type: "sendClosed"; used: Usage }
  | { type: "endService" }
  /** put on disk what the session used up of the channel */
  | { type: "record"; consumed: bigint }
  | { type: "requestSettle" }
  | { type: "hangUp" };

/** A session that has paid for nothing more for this long is over. */
export const idleMs = 60_000;
/** So is one that waits for an answer and has bought nothing for this long: its place is not held for ever for nothing. */
export const unpaidMs = 600_000;
/** An invoice goes out when this much more was used (or half of what was left, where that is more), or this much time has passed: it is a sign of life, too. */
export const invoiceStep: Usage = { bytes: 1n << 18n, ms: 1_000 };
const invoiceBytes = ({ bought, invoiced }: ProviderState): bigint => larger(invoiceStep.bytes, (bought.bytes - invoiced.bytes) / 2n);
/** While paid time stands still, a service that ends it by itself is told anew this often what is left. */
const renewMs = 1_000;

const nothing: Usage = { bytes: 0n, ms: 0 };

export const initialProvider = (options: Pick<ProviderState, "terms" | "start">): ProviderState => ({
  phase: "QUOTED",
  ...options,
  cumulative: options.start.cumulative,
  bought: nothing,
  used: nothing,
  elapsedMs: 0,
  unboughtMs: 0,
  invoiced: { bytes: 0n, atMs: 0 },
  checking: undefined,
  promises: 0,
  lastN: 0,
  suspendedSinceMs: undefined,
  boughtAtMs: 0,
  allowedAtMs: 0,
  reason: undefined,
});

type Result = ReturnType<Step<ProviderState, ProviderEvent, ProviderEffect>>;
const stay = (state: ProviderState): Result => ({ state, effects: [] });

/** What the session has used up of the channel; never more than was promised. */
export const consumedBy = (state: ProviderState): bigint => {
  const consumed = state.start.consumed + due(state.terms, state.used);
  return smaller(consumed, state.cumulative);
};

/** What costs nothing is not limited. */
const unlimited = 2n ** 63n;
const allowance = ({ terms, bought }: ProviderState): bigint => (terms.perGiB > 0n ? bought.bytes : unlimited);

/** Whether the service is open. */
export const isCarrying = (state: ProviderState): boolean => state.phase === "ACTIVE" || state.phase === "SUSPENDED";

export const stepProvider: Step<ProviderState, ProviderEvent, ProviderEffect> = (state, event) => {
  switch (event.type) {
    case "purchase":
      return purchase(state, event);
    case "purchased":
      return purchased(state, event.cumulative);
    case "declined":
      return refuse({ ...state, checking: undefined }, event.code, event.message, event.consumed);
    case "admitted":
      // it was over before the service was there
      if (state.phase !== "QUOTED") return { state, effects: [{ type: "endService" }] };
      return {
        state: { ...state, phase: "ACTIVE" },
        effects: [
          { type: "allow", bytes: allowance(state) },
          { type: "sendAccepted", connection: event.connection },
        ],
      };
    case "used":
      return used(state, event);
    case "rejoined":
      return rejoined(state);
    case "closeAsked":
      return close(state, undefined);
    case "lost":
      return close(state, { code: event.code, message: event.message });
    case "expelled":
      return expelled(state, event.code, event.message);
    case "ended":
      return ended(state, event.used);
  }
};

/** A purchase must rise, be covered in money, and come one at a time; only then its signature is looked at. */
function purchase(state: ProviderState, event: Extract<ProviderEvent, { type: "purchase" }>): Result {
  const { bought, promise, n } = event;
  if (state.phase !== "QUOTED" && !isCarrying(state)) return stay(state);
  if (state.checking) return refuse(state, "PROMISE_REFUSED", "one purchase at a time");
  if (bought.bytes < state.bought.bytes || bought.ms < state.bought.ms)
    return refuse(state, "PROMISE_REFUSED", "what is bought cannot fall");
  const cumulative = promise?.cumulative ?? state.cumulative;
  if (cumulative < state.cumulative) return refuse(state, "PROMISE_REFUSED", "the cumulative amount cannot fall");
  // One that knows of less use would later buy what its promises do not cover.
  const knowsLess = event.consumed !== undefined && event.consumed < state.start.consumed;
  if (knowsLess || state.start.consumed + due(state.terms, bought) > cumulative) {
    const message = knowsLess ? "more was used up before" : "the promise does not cover what it buys";
    return state.phase === "QUOTED"
      ? {
          state: over(state, "CREDIT_MISMATCH", message),
          effects: [refusal("CREDIT_MISMATCH", message, state.start.consumed), { type: "hangUp" }],
        }
      : refuse(state, "PROMISE_REFUSED", message);
  }
  const next = { ...state, checking: { n, bought } };
  return { state: next, effects: [{ type: "accept", promise, consumed: consumedBy(state) }] };
}

function purchased(state: ProviderState, cumulative: bigint): Result {
  const done = state.checking;
  if (!done) return stay(state);
  const promises = state.promises + (cumulative > state.cumulative ? 1 : 0);
  const next: ProviderState = {
    ...state,
    cumulative,
    promises,
    bought: done.bought,
    checking: undefined,
    lastN: done.n,
    boughtAtMs: state.elapsedMs,
  };
  if (state.phase === "QUOTED") return { state: next, effects: [{ type: "admit" }] };
  if (!isCarrying(state)) return stay(next);
  const effects: ProviderEffect[] = [
    { type: "allow", bytes: allowance(next) },
    { type: "sendAck", n: done.n },
  ];
  return { state: { ...next, phase: "ACTIVE", suspendedSinceMs: undefined, allowedAtMs: state.elapsedMs }, effects };
}

/** What was said on the old stream may not have arrived: the last purchase is acknowledged again, one that is being checked once it is made. */
function rejoined(state: ProviderState): Result {
  if (!isCarrying(state)) return stay(state);
  const n = state.checking?.n ?? state.lastN;
  return { state, effects: [{ type: "takeStream", n }, ...(state.checking ? [] : [{ type: "sendAck" as const, n }])] };
}

const refusal = (code: ErrorCode, message: string, consumed?: bigint): ProviderEffect => ({
  type: "sendRefused",
  code,
  message,
  ...(consumed !== undefined && { consumed }),
});
const over = (state: ProviderState, code: ErrorCode, message: string): ProviderState => ({
  ...state,
  phase: "REFUSED",
  reason: { code, message },
});

/** A purchase that is declined ends a session that has not begun; one that runs goes on with what it has paid for. */
function refuse(state: ProviderState, code: ErrorCode, message: string, consumed?: bigint): Result {
  const effect = refusal(code, message, consumed);
  if (state.phase === "QUOTED") return { state: over(state, code, message), effects: [effect, { type: "hangUp" }] };
  return { state, effects: [effect] };
}

function used(state: ProviderState, event: Extract<ProviderEvent, { type: "used" }>): Result {
  if (!isCarrying(state)) return stay(state);
  const { elapsedMs, waiting } = event;
  const effects: ProviderEffect[] = [];
  let next: ProviderState = { ...counted(state, event.used), elapsedMs };
  const { bytes, ms } = next.used;
  // A target's late answer must pass, or its consumer, which buys nothing while it waits, would wait for ever.
  const timeUp = state.terms.perHour > 0n && ms >= state.bought.ms && !waiting;
  const usedUp = timeUp || bytes >= allowance(state);
  if (state.phase === "ACTIVE") {
    if (timeUp) effects.push({ type: "suspend" });
    if (usedUp) next = { ...next, phase: "SUSPENDED", suspendedSinceMs: elapsedMs };
    else if (waiting && elapsedMs - state.allowedAtMs >= renewMs) {
      next = { ...next, allowedAtMs: elapsedMs };
      effects.push({ type: "allow", bytes: allowance(state) });
    }
  }
  if (bytes - state.invoiced.bytes >= invoiceBytes(state) || elapsedMs - state.invoiced.atMs >= invoiceStep.ms) {
    next = { ...next, invoiced: { bytes, atMs: elapsedMs } };
    effects.push({ type: "sendInvoice", used: next.used });
  }
  return isIdle(next, waiting) && !state.checking
    ? close(next, { code: "BUDGET_EXHAUSTED", message: "nothing more was paid for" })
    : { state: next, effects };
}

const isIdle = ({ terms, elapsedMs, suspendedSinceMs, boughtAtMs }: ProviderState, waiting: boolean): boolean =>
  (suspendedSinceMs !== undefined && elapsedMs - suspendedSinceMs > idleMs) ||
  (waiting && terms.perHour > 0n && elapsedMs - boughtAtMs > unpaidMs);

/** Takes over a count. Time beyond what was bought is not carried in, so it is dropped for good. */
function counted(state: ProviderState, own: Usage): ProviderState {
  const ms = own.ms - state.unboughtMs;
  const unboughtMs = state.terms.perHour > 0n ? Math.max(0, ms - state.bought.ms) : 0;
  return { ...state, used: { bytes: own.bytes, ms: ms - unboughtMs }, unboughtMs: state.unboughtMs + unboughtMs };
}

function close(state: ProviderState, reason: ProviderState["reason"]): Result {
  if (state.phase === "QUOTED") return { state: { ...state, phase: "REFUSED", reason }, effects: [{ type: "hangUp" }] };
  if (!isCarrying(state)) return stay(state);
  return { state: { ...state, phase: "CLOSING", reason }, effects: [{ type: "endService" }] };
}

function expelled(state: ProviderState, code: ErrorCode, message: string): Result {
  const next = close(state, { code, message });
  return next.effects.length > 0 ? { state: next.state, effects: [refusal(code, message), ...next.effects] } : next;
}

function ended(state: ProviderState, count: Usage): Result {
  if (state.phase !== "CLOSING") return stay(state);
  const next = counted(state, count);
  return {
    state: { ...next, phase: "CLEARABLE" },
    effects: [
      { type: "record", consumed: consumedBy(next) },
      { type: "sendClosed", used: next.used },
      { type: "requestSettle" },
      { type: "hangUp" },
    ],
  };
}
