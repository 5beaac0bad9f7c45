import { setTimeout as wait } from "node:timers/promises";

/** Time as a port, so that tests can hold it still. */
export type Clock = {
  /** ms since the Unix epoch */
  nowMs(): number;
  /** Resolves after `ms`; rejects with the signal's reason when aborted. Does not keep the process alive. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** A signal that fires after `ms`; absent where time is the machine's own. */
  timeout?(ms: number): AbortSignal;
};

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  sleep: async (ms, signal) => {
    await wait(ms, undefined, { ref: false, ...(signal && { signal }) });
  },
};
