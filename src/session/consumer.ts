import type { Step } from "../lib/machine.ts";
import { acknowledged, counted as seen } from "../payments/line.ts";
import { cumulativeFor } from "../payments/meter.ts";
import type { SignedPromise } from "../payments/promise.ts";
import type { Usage } from "../payments/terms.ts";
import { carriedIn, consumedBy, counted, finalCount, idleOf, overcharges, purchaseFor, restMs, served, usedUp } from "./consumer-count.ts";
import { buyEveryMs, type ConsumerEffect, type ConsumerEvent, type ConsumerState } from "./consumer-state.ts";
import type { ToConsumer } from "./messages.ts";

/** No answer to a purchase or a close for this long ends the session, and so does no word at all: an exit tells its count every second. */
export const patienceMs = 10_000;
/** After so long without a word nothing more is bought until there is one, though bytes may still come out of what was paid for. */
export const quietMs = 2_500;

type Result = ReturnType<Step<ConsumerState, ConsumerEvent, ConsumerEffect>>;
const stay = (state: ConsumerState): Result => ({ state, effects: [] });

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

/**
 * The consumer's side of a session, as a transition table.
 *
 *   QUOTED --accepted--> OPEN --opened--> ACTIVE <--> DISPUTED --disconnect--> CLOSING --closed--> CLOSED
 *
 * It buys ahead what the service is about to use, one purchase at a time: the next is signed only once the exit has
 * acknowledged the last, so an exit that falls silent holds at most one quantum that it has not served.
 */
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
      const code = (["PAYER_CONFLICT", "EXIT_FULL"] as const).find((known) => known === message.code) ?? "PEER_REFUSED";
      const reason = { code, message: `${message.code}: ${message.message}` } as const;
      return state.phase === "QUOTED" ? finish({ ...state, reason }) : leave(state, reason);
    }
    case "ack":
      if (state.pending?.n !== message.n) return stay(state);
      return stay({ ...state, pending: undefined, line: acknowledged(state.line, elapsedMs - state.pending.sinceMs) });
    case "rejoined":
      return rejoined(state, message.n, elapsedMs);
    case "invoice":
      return stay({ ...state, invoiced: message.used, invoicedAtMs: state.ownMs });
    case "closed":
      return state.phase === "CLOSING" ? finish({ ...state, used: finalCount(state, message.used) }) : stay(state);
  }
}

/** The session goes on over another stream. A purchase that the exit has got is acknowledged there; one that it has not is made again. */
function rejoined(state: ConsumerState, n: number, elapsedMs: number): Result {
  const { pending, bought } = state;
  if (!pending) return stay(state);
  const effects: ConsumerEffect[] = pending.n > n ? [{ type: "payAgain", n: pending.n, bought }] : [];
  return { state: { ...state, pending: { n: pending.n, sinceMs: elapsedMs } }, effects };
}

function used(state: ConsumerState, event: Extract<ConsumerEvent, { type: "used" }>): Result {
  if (state.phase !== "ACTIVE" && state.phase !== "DISPUTED" && state.phase !== "OPEN") return stay(state);
  const { elapsedMs, waitingMs, silentMs, credit = state.credit } = event;
  const next: ConsumerState = {
    ...counted(state, event.used, event.droppedBytes),
    elapsedMs,
    idleMs: idleOf(waitingMs, silentMs),
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
  const purchase = purchaseFor({ ...honest, used: served(honest) });
  if (purchase.exhausted) return leave(honest, { code: "BUDGET_EXHAUSTED", message: "the budget is used up" });
  const starves = usedUp(honest) && !honest.pending && (purchase.buy?.bytes ?? honest.bought.bytes) === honest.bought.bytes;
  const starvedSinceMs = starves ? (honest.starvedSinceMs ?? elapsedMs) : undefined;
  if (starvedSinceMs !== undefined && elapsedMs - starvedSinceMs > patienceMs)
    return leave(honest, { code: "OVERCHARGED", message: "the exit counts more than has arrived: too much is lost on the way" });
  const fed: ConsumerState = { ...honest, starvedSinceMs };
  if (!purchase.buy || fed.pending || silentMs > quietMs || elapsedMs - fed.boughtAtMs < buyEveryMs) return stay(fed);
  return buy(fed, purchase.buy);
}

/** Ends the traffic, then the session; with nobody to answer, at once. */
function leave(state: ConsumerState, reason: ConsumerState["reason"], alone = false): Result {
  if (state.phase === "QUOTED") return finish({ ...state, reason });
  if (state.phase === "CLOSING") return stay(state);
  const closing: ConsumerState = { ...state, phase: "CLOSING", reason };
  if (!alone) return { state: closing, effects: [{ type: "closeService", alone }] };
  // what an exit that is gone did not serve is left on the channel, for when it comes back
  const done = finish(closing.idleMs > quietMs ? { ...closing, used: served(closing) } : closing);
  return { state: done.state, effects: [{ type: "closeService", alone }, ...done.effects] };
}

const finish = (state: ConsumerState): Result => ({
  state: { ...state, phase: "CLOSED" },
  effects: [{ type: "finish", consumed: consumedBy(state) }],
});
