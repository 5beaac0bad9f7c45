import { larger } from "../lib/bigint.ts";
import type { Clock } from "../lib/clock.ts";
import { asMystError } from "../lib/errors.ts";
import type { Logger } from "../lib/ports.ts";
import type { Store } from "../lib/store.ts";
import { MiB } from "../lib/units.ts";

/**
 * What this node has carried for others in the present month (UTC), as sessions count it. On disk is always at least as much, so that after a crash it
 * is counted too high, by `aheadBytes` at most, and a cap holds all the same.
 */
export type Carried = {
  add(bytes: bigint): void;
  /** bytes of this month */
  bytes(): bigint;
  /** Writes down what it really is. */
  close(): Promise<void>;
};

const aheadBytes = 64n * MiB;

export const monthOf = (ms: number): string => new Date(ms).toISOString().slice(0, 7);

/** @throws STORE_CORRUPT */
export async function openCarried({
  store,
  clock,
  log,
}: {
  store: Pick<Store, "table" | "write">;
  clock: Pick<Clock, "nowMs">;
  log: Logger;
}): Promise<Carried> {
  const table = store.table("carried");
  const read = async (month: string) => {
    const value = await table.get(month);
    return value ? BigInt(Buffer.from(value).toString()) : 0n;
  };
  let month = monthOf(clock.nowMs());
  let bytes = await read(month);
  /** on disk, or on its way there */
  let written = bytes;
  let writing: Promise<unknown> = Promise.resolve();
  const write = (count: bigint) => {
    written = count;
    writing = store
      .write([table.put(month, Buffer.from(String(count)))])
      .catch((error) => log.warn("what was carried this month was not written down", { code: asMystError(error).code }));
  };
  const turn = () => {
    const now = monthOf(clock.nowMs());
    // a clock that is put back does not give back what was used
    if (now <= month) return;
    month = now;
    bytes = 0n;
    written = 0n;
  };
  return {
    add: (more) => {
      turn();
      bytes += larger(more, 0n);
      if (bytes > written) write(bytes + aheadBytes);
    },
    bytes: () => {
      turn();
      return bytes;
    },
    close: async () => {
      if (written !== bytes) write(bytes);
      await writing;
    },
  };
}
