import type { Clock } from "./clock.ts";
import { type ErrorCode, MystError } from "./errors.ts";

/** A signal that fires when `signal` does or after `ms`, whichever is first. Every wait on a peer, a chain or a disk has one. */
export function deadline(ms: number, signal?: AbortSignal, clock?: Pick<Clock, "timeout">): AbortSignal {
  const late = clock?.timeout?.(ms) ?? timedOut(ms);
  return signal ? AbortSignal.any([signal, late]) : late;
}

/**
 * As `AbortSignal.timeout`, which must not be used: a signal that is made by `AbortSignal.any` out of another such one with a timeout in it
 * stays in memory for ever (Node 24).
 */
function timedOut(ms: number): AbortSignal {
  const late = new AbortController();
  const abort = () => late.abort(new DOMException("The operation was aborted due to timeout", "TimeoutError"));
  setTimeout(abort, ms).unref();
  return late.signal;
}

/** Awaits `work`, or throws `code` after `ms`. The work itself is not stopped: pass it a `deadline` where it takes a signal. */
export async function within<T>(work: Promise<T>, ms: number, code: ErrorCode, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new MystError(code, `${what} took longer than ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

export type Loop = AsyncDisposable & { stop(): Promise<void> };

/**
 * Runs `work` again and again, `everyMs` (+- a fifth, so that peers do not march in step) apart, until stopped.
 * A round that throws is handed to `onError`; the loop goes on. `stop` aborts the round under way and waits for it.
 */
export function every(
  clock: Clock,
  everyMs: number,
  work: (signal: AbortSignal) => Promise<void>,
  onError: (error: unknown) => void,
): Loop {
  const stopped = new AbortController();
  const running = (async () => {
    while (!stopped.signal.aborted) {
      try {
        await work(stopped.signal);
      } catch (error) {
        if (!stopped.signal.aborted) onError(error);
      }
      const jitter = 0.8 + Math.random() * 0.4;
      await clock.sleep(everyMs * jitter, stopped.signal).catch(() => undefined);
    }
  })();
  const stop = async () => {
    stopped.abort();
    await running;
  };
  return { stop, [Symbol.asyncDispose]: stop };
}

/** Runs what it is given one after another; each waits for the end of the one before, however that ends. */
export function serially(): <T>(work: () => Promise<T>) => Promise<T> {
  let tail: Promise<unknown> = Promise.resolve();
  return (work) => {
    const done = tail.then(work);
    tail = done.catch(() => undefined);
    return done;
  };
}

/** `work` as often as it is asked for, never twice at once: what is asked for while it runs is one more run after it, which is waited for. */
export function oneAtATime(work: () => Promise<void>): () => Promise<void> {
  const inOrder = serially();
  let waiting: Promise<void> | undefined;
  return () => {
    waiting ??= inOrder(() => {
      waiting = undefined;
      return work();
    });
    return waiting;
  };
}
