import type { ErrorCode } from "../../lib/errors.ts";
import type { Step } from "../../lib/machine.ts";

/**
 * What a connection does about its exit, as a transition table.
 *
 *   CARRYING <--> PROBING --gone--> LEAVING --ended--> LOOKING --opened--> CARRYING
 *
 * A probe is cheap and leaving is not: whatever looks wrong is probed first, and an exit is left only where another is known to
 * answer. Where nobody answers it is our own line, and the session may outlast that.
 */
export type FailoverState = {
  /** what takes over: any exit that matches, or only the same one */
  mode: "any" | "same";
  phase: "CARRYING" | "PROBING" | "LEAVING" | "LOOKING" | "OVER";
  /** why it is being probed */
  cause: Cause | undefined;
  /** when that began, or when the exit was last known to be well */
  sinceMs: number;
  /** no probe before */
  restUntilMs: number;
  /** whom to try first once the session is over */
  first: "other" | "same";
  /** looks in a row that found nothing */
  rounds: number;
};

/** The session's stream broke; nothing was heard; nothing came of what was asked; far less came than before; an address of our own changed. */
export type Cause = "lost" | "silent" | "unanswered" | "slow" | "moved";

/**
 * `well`: it answers; `rejoined`: the session goes on over a new connection; `unknown`: it answers, and has no such session;
 * `gone`: no answer; `dead`: its machine says that nobody listens there any more; `deaf`: none from inside of the service, while its node answers; `poor`: far slower than the standby;
 * `unsure`: we stood still ourselves
 */
export type Verdict = "well" | "rejoined" | "unknown" | "gone" | "dead" | "deaf" | "poor" | "unsure";

export type Failure = { code: ErrorCode; message: string };

export type FailoverEvent =
  /**
   * `silentMs`: since when no sign of life has come; `waitingMs`: how long what was asked has gone without an answer; `isSlow`: see trend.ts;
   * `mayAsk`: something has been answered since we last asked from inside of the service: such an answer is one more that is paid for
   */
  | { type: "looked"; atMs: number; silentMs: number; waitingMs: number; isSlow: boolean; mayAsk: boolean }
  | { type: "lost"; atMs: number }
  | { type: "moved"; atMs: number }
  /** `standby`: whether the standby answers */
  | { type: "probed"; atMs: number; verdict: Verdict; standby: boolean }
  /** the session is over, and not by our wish */
  | { type: "ended"; atMs: number; failure: Failure }
  | { type: "opened"; atMs: number }
  /** a look has found nothing */
  | { type: "failed"; failure: Failure }
  | { type: "disconnect" };

export type FailoverEffect =
  | { type: "probe"; cause: Cause; afterMs: number }
  | ({ type: "leave" } & Failure)
  | { type: "look"; first: "other" | "same"; afterMs: number }
  | { type: "resumed"; tookMs: number }
  | { type: "switched"; tookMs: number }
  | { type: "end"; failure: Failure };

/** An exit tells its count every second, and looks at the clock every 250 ms. */
export const suspectMs = 1_600;
/** So long nothing came of what was asked: well within the 4 s of a wait that are paid for. */
export const unansweredMs = 1_500;
const restMs = 1_000;
/** between probes of an exit that has not answered */
const againMs = 300;
/** looks that find nothing before it gives up: some ten minutes, by the pauses between them, and not by a clock that a suspend moves on */
export const maxRounds = 45;
const firstPauseMs = 500;
const maxPauseMs = 15_000;

/** What another exit does not help against. */
const ours: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "BUDGET_EXHAUSTED",
  "BUDGET_TOO_SMALL",
  "INSUFFICIENT_FUNDS",
  "NO_DEPOSIT",
  "ACCOUNT_CLOSING",
  "LEDGER_BEHIND",
  "PAYER_CONFLICT",
  "STORE_FULL",
  "STORE_CORRUPT",
  "PRIVILEGE_NEEDED",
  "TOOL_MISSING",
  "PORT_IN_USE",
  "BAD_VALUE",
  "INTERRUPTED",
  "INTERNAL",
]);
const isOurs = ({ code }: Failure): boolean => ours.has(code);
/** What no honest exit does: nobody goes back to it. */
export const isCheating = ({ code }: Failure): boolean => code === "OVERCHARGED" || code === "MALFORMED";

export const initialFailover = (mode: "any" | "same", atMs: number): FailoverState => ({
  mode,
  phase: "CARRYING",
  cause: undefined,
  sinceMs: atMs,
  restUntilMs: 0,
  first: "other",
  rounds: 0,
});

/** 0.5 s, 1 s, 2 s ... 15 s */
export const pauseMs = (rounds: number): number => (rounds === 0 ? 0 : Math.min(maxPauseMs, firstPauseMs * 2 ** Math.min(rounds - 1, 10)));

type Result = ReturnType<Step<FailoverState, FailoverEvent, FailoverEffect>>;
const stay = (state: FailoverState): Result => ({ state, effects: [] });

export const stepFailover: Step<FailoverState, FailoverEvent, FailoverEffect> = (state, event) => {
  if (state.phase === "OVER") return stay(state);
  switch (event.type) {
    case "looked":
      return looked(state, event);
    case "lost":
      if (state.phase === "PROBING") return stay({ ...state, cause: "lost" });
      return state.phase === "CARRYING" ? probe(state, "lost", event.atMs) : stay(state);
    case "moved":
      // what is under way has begun on the old address
      if (state.phase === "PROBING" && state.cause !== "lost") return stay({ ...state, cause: "moved" });
      return state.phase === "CARRYING" ? probe(state, "moved", event.atMs) : stay(state);
    case "probed":
      return state.phase === "PROBING" ? probed(state, event) : stay(state);
    case "ended":
      return ended(state, event.failure, event.atMs);
    case "opened":
      if (state.phase !== "LOOKING") return stay(state);
      return {
        state: initialFailover(state.mode, event.atMs),
        effects: [{ type: "switched", tookMs: event.atMs - state.sinceMs }],
      };
    case "failed":
      return state.phase === "LOOKING" ? failed(state, event.failure) : stay(state);
    case "disconnect":
      return stay({ ...state, phase: "OVER" });
  }
};

const probe = (state: FailoverState, cause: Cause, sinceMs: number): Result => ({
  state: { ...state, phase: "PROBING", cause, sinceMs },
  effects: [{ type: "probe", cause, afterMs: 0 }],
});

function looked(state: FailoverState, event: Extract<FailoverEvent, { type: "looked" }>): Result {
  const { atMs, silentMs, waitingMs, isSlow, mayAsk } = event;
  if (state.phase !== "CARRYING" || atMs < state.restUntilMs) return stay(state);
  if (silentMs >= suspectMs) return probe(state, "silent", atMs - silentMs);
  if (mayAsk && waitingMs >= unansweredMs) return probe(state, "unanswered", atMs - waitingMs);
  return mayAsk && isSlow && state.mode === "any" ? probe(state, "slow", atMs) : stay(state);
}

/** What is said of an exit that was left. */
const reasons: Record<"gone" | "deaf" | "poor" | "unknown", Failure> = {
  gone: { code: "PEER_TIMEOUT", message: "the exit does not answer any more" },
  deaf: { code: "TUNNEL_FAILED", message: "nothing comes through the exit's tunnel any more" },
  poor: { code: "TUNNEL_FAILED", message: "the exit carries far less than before" },
  unknown: { code: "PEER_UNREACHABLE", message: "the exit has begun anew" },
};

function probed(state: FailoverState, event: Extract<FailoverEvent, { type: "probed" }>): Result {
  const { atMs, verdict, standby } = event;
  const another = state.mode === "any" && standby;
  const again = (): Result => ({ state, effects: [{ type: "probe", cause: state.cause ?? "silent", afterMs: againMs }] });
  const carryOn = (effects: FailoverEffect[] = []): Result => ({
    state: { ...state, phase: "CARRYING", cause: undefined, restUntilMs: atMs + restMs },
    effects,
  });
  const leave = (why: keyof typeof reasons, first: "other" | "same"): Result => ({
    state: { ...state, phase: "LEAVING", first },
    effects: [{ type: "leave", ...reasons[why] }],
  });
  switch (verdict) {
    case "well":
      // the connection answers, its stream is gone all the same
      return state.cause === "lost" ? again() : carryOn();
    case "rejoined":
      return carryOn([{ type: "resumed", tookMs: atMs - state.sinceMs }]);
    case "unknown":
      return leave("unknown", "same");
    case "deaf":
      return leave("deaf", another ? "other" : "same");
    case "poor":
      return another ? leave("poor", "other") : carryOn();
    case "gone":
      return another ? leave("gone", "other") : again();
    case "dead":
      return leave("gone", "other");
    case "unsure":
      return again();
  }
}

/** Over, by what we did or by itself. */
function ended(state: FailoverState, failure: Failure, atMs: number): Result {
  if (state.phase === "LOOKING") return stay(state);
  if (isOurs(failure) || (state.mode === "same" && isCheating(failure)))
    return { state: { ...state, phase: "OVER" }, effects: [{ type: "end", failure }] };
  const first = state.phase === "LEAVING" ? state.first : "other";
  const sinceMs = state.phase === "CARRYING" ? atMs : state.sinceMs;
  return { state: { ...state, phase: "LOOKING", cause: undefined, sinceMs, rounds: 0 }, effects: [{ type: "look", first, afterMs: 0 }] };
}

function failed(state: FailoverState, failure: Failure): Result {
  const rounds = state.rounds + 1;
  if (isOurs(failure) || rounds >= maxRounds) return { state: { ...state, phase: "OVER" }, effects: [{ type: "end", failure }] };
  return { state: { ...state, rounds }, effects: [{ type: "look", first: "other", afterMs: pauseMs(rounds) }] };
}
