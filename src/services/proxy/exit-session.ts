import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/ports.ts";
import { createQuota } from "../../network/quota.ts";
import type { Admission } from "../service.ts";
import { createUnanswered, exitPatience, type Unanswered } from "../unanswered.ts";
import type { ExitConnection } from "./exit-connection.ts";
import { createExitControl, type ExitControl } from "./exit-control.ts";
import { createGate, type Gate } from "./gate.ts";

/** What the exit holds of one admitted session. */
export type ExitSession = {
  admission: Admission;
  gate: Gate;
  control: ExitControl;
  unanswered: Unanswered;
  /** by the consumer's number */
  connections: Map<number, ExitConnection>;
  /** those of them that are for datagrams */
  associations: Set<number>;
  /** May datagrams go where none have gone of late? So many at once and a second, all associations together. */
  allowNewFlow(): boolean;
  /** Counts bytes that left for a target. */
  addUp(bytes: number): void;
  /** Runs a connection; `end` waits for it. */
  run<T>(work: Promise<T>): Promise<T>;
  /** Nothing passes from here on; resolves with the final count once every connection is gone. */
  end(): Promise<bigint>;
};

/** enough for a page full of names, or a swarm of peers; not for a scan */
const newFlowQuota = { burst: 256, perSecond: 32 };

export function createExitSession({ log, clock }: { log: Logger; clock: Pick<Clock, "nowMs"> }, admission: Admission): ExitSession {
  const gate = createGate();
  const unanswered = createUnanswered({ clock }, exitPatience);
  const connections = new Map<number, ExitConnection>();
  const running = new Set<Promise<unknown>>();
  const newFlows = createQuota(clock, newFlowQuota);
  let up = 0n;
  const control = createExitControl({
    log,
    onAsked: (asked) => {
      if (asked.t === "stopAll") for (const connection of [...connections.values()]) connection.stop();
      else connections.get(asked.id)?.[asked.t]();
    },
  });
  return {
    admission,
    gate,
    control,
    unanswered,
    connections,
    associations: new Set(),
    allowNewFlow: () => newFlows.take(""),
    addUp: (bytes) => {
      unanswered.carriedUp(bytes);
      up += BigInt(bytes);
      control.carriedUp(up);
    },
    run: (work) => {
      running.add(work);
      return work.finally(() => running.delete(work));
    },
    end: async () => {
      gate.end();
      for (const connection of [...connections.values()]) connection.abort(new Error("the session has ended"));
      await Promise.allSettled(running);
      await control.end();
      return gate.usedBytes();
    },
  };
}
