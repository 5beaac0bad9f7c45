import type { Op } from "../lib/store.ts";

type Batch = { ops: Map<string, Op>; done: Promise<void>; resolve(): void; reject(error: unknown): void };

/**
 * Writes that come while one is under way go to disk together with the next: one fsync for all of them. A later write of a key takes
 * the place of an earlier one in the same batch. Each `put` settles as its batch does; a batch that fails does not stop the next.
 */
export function groupCommit(write: (ops: Op[]) => Promise<void>): { put(op: Op): Promise<void> } {
  let gathering: Batch | undefined;
  let writing = false;

  const run = async () => {
    writing = true;
    while (gathering) {
      // what is put in one go goes in one write, also when nothing is under way
      await undefined;
      const batch = gathering;
      gathering = undefined;
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
