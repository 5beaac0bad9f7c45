import { join } from "node:path";
import { MystError } from "../lib/errors.ts";
import type { NodeProcess } from "./processes.ts";

/** All that a devnet has started, so that it can be ended whatever went wrong halfway. */
export type Supervisor = {
  /** fires when the devnet is asked to end, or a part of it has ended by itself */
  signal: AbortSignal;
  /** Work that starts something. `stop` waits for it: nothing is started behind its back. */
  starting<T>(work: Promise<T>): Promise<T>;
  node(process: NodeProcess): void;
  /** something that is ended by `close`, after the nodes; `ended`: when it can end by itself */
  part(name: string, close: () => Promise<void>, ended?: Promise<void>): void;
  /** from here on the part may end */
  expectEnd(name: string): void;
  /** rejects when a part has ended by itself */
  failed: Promise<never>;
  /** what to tell when starting failed with `error`: the part whose end broke it off, if that was it */
  explain(error: unknown): unknown;
  stop(): Promise<void>;
};

const stopMs = 10_000;

export function createSupervisor(directory: string, outer?: AbortSignal): Supervisor {
  const ending = new AbortController();
  const { promise: failed, reject } = Promise.withResolvers<never>();
  failed.catch(() => undefined);
  const expected = new Set<string>();
  const under = new Set<Promise<unknown>>();
  const nodes: NodeProcess[] = [];
  const closers: (() => Promise<void>)[] = [];
  let failure: MystError | undefined;
  let stopped: Promise<void> | undefined;

  const watch = (name: string, ended: Promise<unknown>) =>
    void ended.then((how) => {
      if (stopped || failure || expected.has(name)) return;
      failure = new MystError("INTERNAL", `${name} ended by itself${how === undefined ? "" : ` (${how})`}`, {
        hint: `what it said last is in ${join(directory, name === "anvil" ? "" : name)}`,
      });
      reject(failure);
      ending.abort(failure);
    });
  const stop = async () => {
    ending.abort();
    await Promise.allSettled(under);
    // nodes first, all at once: exits clear what they can while the chain is there
    await Promise.all(nodes.map((node) => node.stop(stopMs)));
    await Promise.all(closers.map((close) => close()));
  };
  return {
    signal: outer ? AbortSignal.any([outer, ending.signal]) : ending.signal,
    starting: (work) => {
      under.add(work);
      work.then(
        () => under.delete(work),
        () => under.delete(work),
      );
      return work;
    },
    node: (process) => {
      nodes.push(process);
      watch(process.name, process.ended);
    },
    part: (name, close, ended) => {
      closers.push(close);
      if (ended) watch(name, ended);
    },
    expectEnd: (name) => void expected.add(name),
    failed,
    explain: (error) => (failure && error instanceof MystError && error.code === "INTERRUPTED" ? failure : error),
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
  };
}
