import { larger } from "../lib/bigint.ts";
import type { Clock } from "../lib/clock.ts";
import { asMystError, MystError } from "../lib/errors.ts";
import type { Loop } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import type { SignedPromise } from "../payments/promise.ts";
import type { ConsumerSession } from "../session/consumer-driver.ts";
import type { ConsumerState } from "../session/consumer-state.ts";
import type { Records } from "../session/records.ts";
import type { Events } from "./events.ts";
import type { Judging } from "./judging.ts";
import { outcomeOf } from "./outcome.ts";
import type { Opened, Watch } from "./proposing.ts";
import type { EgressView, ExitView, SessionView } from "./types.ts";
import { type ConsumerMeta, consumerSession, type StoredSession, sessionView } from "./views.ts";

export type ConsumingDeps = {
  judging: Pick<Judging, "note">;
  records: Records<StoredSession>;
  events: Events;
  clock: Clock;
  log: Logger;
  /** looks where the traffic of this session comes out, from now on until it is stopped */
  witness(exit: ExitView, endpoint: Record<string, string>, onSeen: (egress: EgressView) => void): Pick<Loop, "stop">;
};

/** A session that is carried on, with its record. */
export type Carried = {
  session: ConsumerSession;
  exit: ExitView;
  view(): SessionView;
  /** as it ended, and what ended it, when not by our wish */
  over: Promise<{ view: SessionView; failure?: MystError /** the first exit's, not that of this session */; byFirst?: boolean }>;
  /** with two hops: the session with the exit that carries this one's tunnel; over when this one is */
  first?: Carried;
};

/** a record of a session that goes on is written at most this often */
const recordEveryMs = 2_000;

/** Opens a session, and keeps its record and events while it lasts. @throws as `open` does */
export async function consume(
  deps: ConsumingDeps,
  open: (watch: Pick<Watch, "onChange" | "onPromise">) => Promise<Opened>,
): Promise<Carried> {
  const { clock, log } = deps;
  const startedMs = clock.nowMs();
  let report: (state: ConsumerState) => void = () => undefined;
  const { session, exit } = await open({
    onChange: (state) => report(state),
    onPromise: ({ cumulative, total, seq, channel }: SignedPromise, { bought }, session) =>
      deps.events.emit({ type: "promise", session, channel, cumulative, total, seq, bytes: bought.bytes }),
  });

  const meta: ConsumerMeta = { id: session.id, exit, channel: session.channel.channel, startedMs };
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
  const witness = deps.witness(exit, session.endpoint, (egress) => {
    deps.events.emit({ type: "egress", session: session.id, peer: exit.peer, country: exit.country, egress });
    meta.egress = egress;
    if (session.state().phase === phase) save(consumerSession(session.state(), meta));
  });
  let endedMs: number | undefined;
  const stored = () => consumerSession(session.state(), { ...meta, ...(endedMs !== undefined && { endedMs }) });
  const over = session.ended.then((state) => {
    endedMs = clock.nowMs();
    report = () => undefined;
    void witness.stop();
    save(stored());
    const outcome = outcomeOf(state, fastest, meta.egress);
    if (outcome)
      deps.judging.note(exit, outcome).catch((error) => log.warn("how a session went was not kept", { code: asMystError(error).code }));
    return { view: sessionView(stored()), ...(state.reason && { failure: failureOf(state.reason) }) };
  });
  return { session, exit, view: () => sessionView(stored()), over };
}

/** What a session has ended with, and what to do about it. */
export const failureOf = ({ code, message }: NonNullable<ConsumerState["reason"]>): MystError =>
  new MystError(code, message, { hint: remedies[code] ?? "run 'mystnode connect' again" });

const remedies: Partial<Record<string, string>> = {
  BUDGET_EXHAUSTED: "give a larger --budget and connect again",
  PAYER_CONFLICT: "this key has promised elsewhere too, and not as its ledger has it: run 'mystnode wallet retire'",
  OVERCHARGED: "connect again with --exclude and this exit's peer id",
};
