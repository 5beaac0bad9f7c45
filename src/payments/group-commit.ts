import { setTimeout as wait } from "node:timers/promises";
import type { Op } from "../lib/store.ts";

/** While many write, one write begins so long after the last at the earliest: each costs about 0.1 ms of CPU and an fsync. */
const spacingMs = 10;

type Batch = { ops: Map<string, Op>; done: Promise<void>; resolve(): void; reject(error: unknown): void };

/**
 * Writes that come while one is under way go to disk together with the next: one fsync for all of them. A later write of a key takes
 * the place of an earlier one in the same batch. Who writes alone never waits; after a write of several the next lets more come together,
 * for up to 10 ms. Each `put` settles as its batch does; a batch that fails does not stop the next.
 */
export function groupCommit(write: (ops: Op[]) => Promise<void>): { put(op: Op): Promise<void> } {
  let gathering: Batch | undefined;
  let writing = false;
  let several = false;
  let beganMs = 0;

  const run = async () => {
    writing = true;
    while (gathering) {
      // what is put in one go goes in one write, also when nothing is under way
      await undefined;
      const restMs = beganMs + spacingMs - performance.now();
      if (several && restMs > 0) await wait(restMs);
      const batch = gathering;
      gathering = undefined;
      several = batch.ops.size > 1;
      beganMs = performance.now();
      await write([...batch.ops.values()]).then(batch.resolve, batch.reject);
    }
    writing = false;
  };
  return {
    put: (op) => {
      gathering ??= { ops: new Map(), ...withResolvers() };
      gathering.ops.set(op.key, op);
      const { done } = gathering;
      if (!writing) void run();
      return done;
    },
  };
}

function withResolvers(): Omit<Batch, "ops"> {
  const { promise: done, resolve, reject } = Promise.withResolvers<void>();
  return { done, resolve, reject };
}
