import { isMystError } from "../../lib/errors.ts";
import { deadline } from "../../lib/lifecycle.ts";
import type { Network, Redialled } from "../../network/network.ts";
import type { ConsumerSession } from "../../session/consumer-driver.ts";
import type { ExitView } from "../types.ts";
import type { Cause, Verdict } from "./machine.ts";

export type ProbeDeps = {
  ping: Network["ping"];
  redial: Network["redial"];
  standby: { ping(signal: AbortSignal): Promise<number | undefined> };
};

export type Probed = { verdict: Verdict; standby: boolean };

/** A ping has so long, and so has a new connection: some five round trips. */
export const answerMs = 1_200;
const rejoinMs = 2_000;
/** who was kept from looking for so much longer has seen nothing */
const stallMs = 600;
/** packets get lost: so many looks inside, one after the other, of which one answer is enough */
const looks = 3;
const lookEveryMs = 200;
/** to measure, so many, and each has so long */
const measures = 5;
const measureMs = 2_500;
/** fewer answers than this are bad, and so is one that takes so long */
const fewAnswers = 3;
const badMs = 1_500;
/** the standby has to be so much faster, or it is our own line that is slow */
const fasterBy = 2;

/** Finds out what has become of an exit. Never throws. */
export async function probeExit(
  deps: ProbeDeps,
  exit: ExitView,
  session: ConsumerSession,
  cause: Cause,
  signal: AbortSignal,
): Promise<Probed> {
  const standby = deps.standby.ping(deadline(answerMs, signal));
  const verdict = await verdictOf(deps, exit, session, cause, signal);
  return { verdict, standby: (await standby) !== undefined };
}

function verdictOf(deps: ProbeDeps, exit: ExitView, session: ConsumerSession, cause: Cause, signal: AbortSignal): Promise<Verdict> {
  if (cause === "slow") return measure(deps, session, signal);
  if (cause === "unanswered") return unlessLate("deaf", lookInside(session, signal));
  return lookOutside(deps, exit, session, cause, signal);
}

/** No answer says nothing where we could not have read one. */
async function unlessLate(bad: "gone" | "deaf", work: Promise<boolean>): Promise<Verdict> {
  const beganMs = performance.now();
  if (await work) return "well";
  return performance.now() - beganMs > answerMs + stallMs ? "unsure" : bad;
}

/**
 * Pings, and dials anew beside it. Where only the new connection answers, an address has changed on the way, and the session goes on over it.
 */
async function lookOutside(
  { ping, redial }: ProbeDeps,
  exit: ExitView,
  session: ConsumerSession,
  cause: Cause,
  signal: AbortSignal,
): Promise<Verdict> {
  const enough = new AbortController();
  const until = deadline(answerMs, AbortSignal.any([signal, enough.signal]));
  const pong = cause === "lost" ? Promise.resolve(false) : succeeded(ping(exit.peer, until));
  let refused = false;
  const dialled = redial(exit.peer, exit.addresses, until).catch((error) => {
    refused = isMystError(error) && error.meta.refused === true;
    return undefined;
  });
  const answered = pong.then(async (well) => well || (await dialled) !== undefined);
  const verdict = await unlessLate("gone", answered);
  if (verdict !== "well") return refused ? "dead" : verdict;
  if (!(await pong)) return goOn((await dialled) as Redialled, session, signal);
  // what answers need not be replaced
  enough.abort();
  void dialled.then((made) => made?.drop());
  return "well";
}

async function goOn(made: Redialled, session: ConsumerSession, signal: AbortSignal): Promise<Verdict> {
  made.take();
  try {
    await session.rejoin(deadline(rejoinMs, signal));
    return "rejoined";
  } catch (error) {
    return isMystError(error, "SESSION_UNKNOWN") ? "unknown" : "gone";
  }
}

const succeeded = (work: Promise<unknown>): Promise<boolean> =>
  work.then(
    () => true,
    () => false,
  );

/** `ask` so many times, `lookEveryMs` apart. */
const repeated = <T>(times: number, ask: (after: number) => Promise<T>): Promise<T>[] =>
  Array.from({ length: times }, async (_, turn) => {
    await new Promise((done) => setTimeout(done, turn * lookEveryMs));
    return ask(turn * lookEveryMs);
  });

async function lookInside({ inside }: ConsumerSession, signal: AbortSignal): Promise<boolean> {
  if (!inside) return true;
  return succeeded(Promise.any(repeated(looks, (afterMs) => inside(deadline(answerMs - afterMs, signal)))));
}

/** Several looks inside, and as many at the standby. */
async function measure({ standby }: ProbeDeps, { inside }: ConsumerSession, signal: AbortSignal): Promise<Verdict> {
  if (!inside) return "well";
  const until = () => deadline(measureMs, signal);
  const ours = Promise.all(repeated(measures, () => inside(until()).catch(() => undefined)));
  const theirs = Promise.all(repeated(measures, () => standby.ping(until())));
  const isAnswer = (ms: number | undefined) => ms !== undefined;
  return isPoor((await ours).filter(isAnswer), (await theirs).filter(isAnswer)) ? "poor" : "well";
}

/** By round trips in ms, those without an answer left out: bad by itself, and far worse than the standby. */
export function isPoor(ours: number[], standbys: number[]): boolean {
  if (standbys.length < measures - 1) return false;
  if (ours.length < fewAnswers) return true;
  return median(ours) > badMs && median(ours) > fasterBy * median(standbys);
}

const median = (values: number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.POSITIVE_INFINITY;
