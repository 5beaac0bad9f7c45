import { larger } from "../lib/bigint.ts";
import { asMystError, MystError } from "../lib/errors.ts";
import type { SignedPromise } from "../payments/promise.ts";
import type { ConsumerState } from "../session/consumer-state.ts";
import type { Records } from "../session/records.ts";
import { type ConnectingDeps, connectToExit } from "./connecting.ts";
import type { Events } from "./events.ts";
import { outcomeOf } from "./outcome.ts";
import type { Connection, ConnectOptions, ConnectStep } from "./types.ts";
import { consumerSession, type StoredSession, sessionView } from "./views.ts";

export type ConsumingDeps = ConnectingDeps & { records: Records<StoredSession>; events: Events };

/** a record of a session that goes on is written at most this often */
const recordEveryMs = 2_000;

/** Connects, and keeps the session's record and events while it lasts. @throws as `connectToExit` does */
export async function consume(deps: ConsumingDeps, options: ConnectOptions, stop: AbortSignal): Promise<Connection> {
  const { clock, log } = deps.session;
  const beganMs = clock.nowMs();
  const signal = options.signal ? AbortSignal.any([options.signal, stop]) : stop;
  let report: (state: ConsumerState) => void = () => undefined;
  const step = (progress: object) => options.onStep?.({ ...progress, atMs: clock.nowMs() - beganMs } as ConnectStep);
  const { session, exit } = await connectToExit(deps, options, {
    signal,
    step,
    onChange: (state) => report(state),
    onPromise: ({ cumulative, total, seq, channel }: SignedPromise, { bought }, session) =>
      deps.events.emit({ type: "promise", session, channel, cumulative, total, seq, bytes: bought.bytes }),
  });

  const meta = { id: session.id, exit, channel: session.channel.channel, startedMs: beganMs };
  let savedMs = 0;
  let phase = "";
  const save = (stored: StoredSession) => {
    savedMs = clock.nowMs();
    phase = stored.state;
    deps.records.save(stored).catch((error) => log.warn("a session's record was not written", { code: asMystError(error).code }));
    deps.events.emit({ type: "session", session: sessionView(stored) });
  };
  let fastest = 0n;
  report = (state) => {
    fastest = larger(fastest, state.line.perSecond);
    if (state.phase !== phase || clock.nowMs() - savedMs > recordEveryMs) save(consumerSession(state, meta));
  };
  report(session.state());
  const ended = session.ended.then((state) => {
    const stored = consumerSession(state, { ...meta, endedMs: clock.nowMs() });
    report = () => undefined;
    save(stored);
    const outcome = outcomeOf(state, fastest);
    if (outcome)
      deps.judging.note(exit, outcome).catch((error) => log.warn("how a session went was not kept", { code: asMystError(error).code }));
    if (state.reason)
      throw new MystError(state.reason.code, state.reason.message, { hint: remedies[state.reason.code] ?? "run 'mystnode connect' again" });
    return sessionView(stored);
  });
  ended.catch(() => undefined);
  return {
    sessionId: session.id,
    exit,
    endpoint: session.endpoint,
    session: () => sessionView(consumerSession(session.state(), meta)),
    ended,
    disconnect: async () => {
      await session.disconnect();
      return sessionView(consumerSession(session.state(), { ...meta, endedMs: clock.nowMs() }));
    },
  };
}

const remedies: Partial<Record<string, string>> = {
  BUDGET_EXHAUSTED: "give a larger --budget and connect again",
  PAYER_CONFLICT: "this key has promised elsewhere too, and not as its ledger has it: run 'mystnode wallet retire'",
  OVERCHARGED: "connect again with --exclude and this exit's peer id",
};
