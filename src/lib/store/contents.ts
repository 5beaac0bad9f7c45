import { crc32 } from "node:zlib";

/** One write of a batch; made by a table, performed by `Store.write`. */
export type Op = { type: "put"; key: string; value: Uint8Array } | { type: "del"; key: string };

/**
 * What a database should hold, as one number: the sum, modulo 2^32, of a CRC-32 over each entry's key and value. LevelDB checks neither when
 * it reads; a sum that is written with each batch tells a flipped bit, an entry that has gone and one that is back from those it stands for.
 */
export type Contents = {
  entries(): number;
  sum(): number;
  /** An entry that was read. */
  add(key: string, value: Uint8Array): void;
  /** The sum once these are performed; `take` when they are. */
  after(ops: readonly Op[]): { sum: number; take(): void };
};

export function createContents(): Contents {
  const known = new Map<string, number>();
  let sum = 0;
  const add = (key: string, value: Uint8Array) => {
    const checksum = checksumOf(key, value);
    known.set(key, checksum);
    sum = (sum + checksum) >>> 0;
  };
  return {
    entries: () => known.size,
    sum: () => sum,
    add,
    after: (ops) => {
      const changed = new Map<string, number | undefined>();
      let next = sum;
      for (const op of ops) {
        const before = (changed.has(op.key) ? changed.get(op.key) : known.get(op.key)) ?? 0;
        const now = op.type === "put" ? checksumOf(op.key, op.value) : undefined;
        changed.set(op.key, now);
        next = (next - before + (now ?? 0)) >>> 0;
      }
      const take = () => {
        for (const [key, checksum] of changed) {
          if (checksum === undefined) known.delete(key);
          else known.set(key, checksum);
        }
        sum = next;
      };
      return { sum: next, take };
    },
  };
}

const checksumOf = (key: string, value: Uint8Array): number => crc32(value, crc32(key));
