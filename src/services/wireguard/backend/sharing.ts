/**
 * `work` for many who ask at once: who asks while it is being done shares the next turn with all others who do, and gets what that one finds, so nobody
 * is told what was so before it asked.
 */
export function shared<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined;
  let next: Promise<T> | undefined;
  const start = (): Promise<T> => {
    next = undefined;
    const mine = work().finally(() => {
      if (running === mine) running = undefined;
    });
    running = mine;
    return mine;
  };
  return () => {
    if (!running) return start();
    next ??= running.then(start, start);
    return next;
  };
}

/**
 * Items that come while others are being worked on are worked on together, in their order; one that `mayJoin` keeps out, and all behind it, wait for
 * the next turn. Where several fail together each is tried alone, so that one's fault is not another's.
 */
export function batched<T>(work: (items: T[]) => Promise<void>, mayJoin: (batch: T[], item: T) => boolean): (items: T[]) => Promise<void> {
  type Waiting = { items: T[]; resolve(): void; reject(error: unknown): void };
  const waiting: Waiting[] = [];
  let busy = false;
  const take = (): Waiting[] => {
    const taken: Waiting[] = [];
    const batch: T[] = [];
    while (waiting[0]?.items.every((item) => mayJoin(batch, item)) || (waiting[0] && taken.length === 0)) {
      const next = waiting.shift() as Waiting;
      taken.push(next);
      batch.push(...next.items);
    }
    return taken;
  };
  const done = (one: Waiting) => work(one.items).then(one.resolve, one.reject);
  const run = async () => {
    // what is asked for in the same turn is there by then
    await Promise.resolve();
    for (let taken = take(); taken.length > 0; taken = take()) {
      const [only, ...more] = taken;
      if (!only) break;
      if (more.length === 0) {
        await done(only);
        continue;
      }
      try {
        await work(taken.flatMap(({ items }) => items));
        for (const { resolve } of taken) resolve();
      } catch {
        for (const one of taken) await done(one);
      }
    }
    busy = false;
  };
  return (items) =>
    new Promise((resolve, reject) => {
      waiting.push({ items, resolve, reject });
      if (busy) return;
      busy = true;
      void run();
    });
}
