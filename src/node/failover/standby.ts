import { asMystError } from "../../lib/errors.ts";
import { deadline } from "../../lib/lifecycle.ts";
import type { Logger } from "../../lib/ports.ts";
import type { ExitView } from "../types.ts";

export type StandbyDeps = {
  /** who may stand by now, best first */
  candidates(): Promise<ExitView[]>;
  /** what that exit offers now; undefined: nothing that fits */
  offered(peer: string): ExitView | undefined;
  connect(exit: ExitView, signal: AbortSignal): Promise<void>;
  /** Dials it anew, for a connection that leads nowhere any more, as after a change of address. */
  reconnect(exit: ExitView, signal: AbortSignal): Promise<void>;
  /** ms there and back */
  ping(peer: string, signal: AbortSignal): Promise<number>;
  avoid(peer: string): void;
  /** another stands by, or none */
  onChange(exit: ExitView | undefined): void;
  log: Logger;
};

/** An exit that is found, connected and known to answer, whose terms are its offer's: to open a session with it takes no search. */
export type Standby = {
  current(): ExitView | undefined;
  /** Whether it answers now, ms there and back. */
  ping(signal: AbortSignal): Promise<number | undefined>;
  /** Something has changed: chooses, or looks whether it is still there, now. */
  look(): void;
  stop(): Promise<void>;
};

const everyMs = 5_000;
/** while there is none */
const soonerMs = 3_000;
const connectMs = 3_000;
const answerMs = 2_000;
/** tried in one go */
const tries = 3;

export function keepStandby(deps: StandbyDeps): Standby {
  const { log } = deps;
  const stopped = new AbortController();
  let current: ExitView | undefined;
  let wake: () => void = () => undefined;
  let wanted = false;

  const change = (exit: ExitView | undefined) => {
    const before = current?.peer;
    current = exit;
    if (before !== exit?.peer) deps.onChange(exit);
  };
  const answers = async (peer: string, signal: AbortSignal) => deps.ping(peer, deadline(answerMs, signal)).catch(() => undefined);
  const isThere = async (exit: ExitView, dial: (exit: ExitView, signal: AbortSignal) => Promise<void>) => {
    if (stopped.signal.aborted) return false;
    try {
      await dial(exit, deadline(connectMs, stopped.signal));
      return (await answers(exit.peer, stopped.signal)) !== undefined;
    } catch (error) {
      log.debug("an exit cannot stand by", { peer: exit.peer, code: asMystError(error).code });
      return false;
    }
  };
  const keep = async () => {
    const offered = current && deps.offered(current.peer);
    if (offered && ((await answers(offered.peer, stopped.signal)) !== undefined || (await isThere(offered, deps.reconnect))))
      return change(offered);
    if (stopped.signal.aborted) return;
    if (offered) deps.avoid(offered.peer);
    change(undefined);
    for (const exit of (await deps.candidates()).slice(0, tries)) {
      if (stopped.signal.aborted) return;
      if ((await isThere(exit, deps.connect)) || (await isThere(exit, deps.reconnect))) return change(exit);
      deps.avoid(exit.peer);
    }
  };
  const pause = (ms: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, wanted ? 0 : ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  const running = (async () => {
    while (!stopped.signal.aborted) {
      wanted = false;
      await keep().catch((error) => log.warn("no exit could be made to stand by", { code: asMystError(error).code }));
      if (!stopped.signal.aborted) await pause(current ? everyMs : soonerMs);
    }
  })();

  return {
    current: () => current,
    ping: async (signal) => (current ? answers(current.peer, signal) : undefined),
    look: () => {
      wanted = true;
      wake();
    },
    stop: async () => {
      stopped.abort();
      wake();
      await running;
    },
  };
}
