import { monitorEventLoopDelay } from "node:perf_hooks";

/** A machine on which the event loop is late by more is too busy to measure times on, ms. */
export const voidDelayMs = 200;

/** What `work` gives, and by how much the event loop was late meanwhile, at most, ms; since `ready` was last called, if it is. */
export async function lateness<T>(work: (ready: () => void) => Promise<T>): Promise<{ result: T; delayMs: number }> {
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  const result = await work(() => delay.reset());
  delay.disable();
  return { result, delayMs: delay.max / 1e6 };
}

/**
 * The same, done anew while the loop was late by more than `voidDelayMs`, up to `times` in all; the last one counts however late.
 * @param told why it is done again, and when to do nothing again
 */
export async function inTime<T>(
  times: number,
  work: (ready: () => void) => Promise<T>,
  told: { log(line: string): void; signal: AbortSignal },
): Promise<{ result: T; delayMs: number }> {
  for (let left = times - 1; ; left -= 1) {
    const done = await lateness(work);
    if (left <= 0 || done.delayMs <= voidDelayMs || told.signal.aborted) return done;
    told.log(`void: the event loop was late by ${Math.round(done.delayMs)} ms; once more`);
  }
}
