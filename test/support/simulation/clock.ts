import type { Clock } from "../../../src/lib/clock.ts";

/** Time that passes only when there is nothing left to do at a moment: minutes of a thousand peers, as fast as the machine can. */
export type VirtualClock = Required<Clock> & {
  /** Lets time pass, and all that happens in it. */
  pass(ms: number): Promise<void>;
  /** Lets time pass until `work` is done. @throws what it throws, or when it is not done within `mostMs` */
  until<T>(work: Promise<T>, mostMs?: number): Promise<T>;
};

type Timer = { atMs: number; order: number; fire: () => void };

const before = (a: Timer, b: Timer) => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

/** The work of a moment is over when nothing is left of it after so many turns of the event loop. */
const turns = 3;

export function createVirtualClock(startMs = 1_750_000_000_000): VirtualClock {
  const heap: Timer[] = [];
  let now = startMs;
  let order = 0;
  const push = (timer: Timer) => {
    let at = heap.push(timer) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(timer, heap[parent] as Timer)) break;
      heap[at] = heap[parent] as Timer;
      at = parent;
    }
    heap[at] = timer;
  };
  const pop = (): Timer => {
    const first = heap[0] as Timer;
    const last = heap.pop() as Timer;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Timer, heap[child] as Timer)) child += 1;
      if (!before(heap[child] as Timer, last)) break;
      heap[at] = heap[child] as Timer;
      at = child;
    }
    heap[at] = last;
    return first;
  };
  const after = (ms: number, fire: () => void) => {
    order += 1;
    push({ atMs: now + Math.max(0, Math.ceil(ms)), order, fire });
  };
  const settle = async () => {
    for (let turn = 0; turn < turns; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
  };
  /** all that is due up to then */
  const passUntil = async (endMs: number, isDone: () => boolean) => {
    await settle();
    while (heap.length > 0 && (heap[0] as Timer).atMs <= endMs && !isDone()) {
      now = (heap[0] as Timer).atMs;
      while (heap.length > 0 && (heap[0] as Timer).atMs <= now) pop().fire();
      await settle();
    }
  };
  return {
    nowMs: () => now,
    sleep: (ms, signal) =>
      new Promise<void>((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const abort = () => reject(signal?.reason);
        signal?.addEventListener("abort", abort, { once: true });
        after(ms, () => {
          signal?.removeEventListener("abort", abort);
          resolve();
        });
      }),
    timeout: (ms) => {
      const controller = new AbortController();
      after(ms, () => controller.abort(new DOMException("in vain", "TimeoutError")));
      return controller.signal;
    },
    pass: async (ms) => {
      const end = now + Math.ceil(ms);
      await passUntil(end, () => false);
      now = end;
    },
    until: async (work, mostMs = 600_000) => {
      let over = false;
      const end = () => {
        over = true;
      };
      work.then(end, end);
      await passUntil(now + mostMs, () => over);
      if (!over) throw new Error(`not done within ${mostMs} ms`);
      return work;
    },
  };
}
