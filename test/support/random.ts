import { createHash } from "node:crypto";

/** Choices that are the same each time for a seed. */
export type Random = {
  /** 0 <= it < n */
  int(n: number): number;
  big(bits: number): bigint;
  bytes(length: number): Uint8Array;
  of<T>(choices: readonly T[]): T;
};

export function randomOf(seed: string): Random {
  let block = Buffer.alloc(0);
  let at = 0;
  let count = 0;
  const byte = (): number => {
    if (at === block.length) {
      block = createHash("sha256").update(`${seed}/${count}`).digest();
      count += 1;
      at = 0;
    }
    at += 1;
    return block[at - 1] ?? 0;
  };
  const bytes = (length: number) => Uint8Array.from({ length }, byte);
  const big = (bits: number) => BigInt(`0x${Buffer.from(bytes(Math.ceil(bits / 8))).toString("hex")}`) & ((1n << BigInt(bits)) - 1n);
  const int = (n: number) => Number(big(48) % BigInt(n));
  return {
    int,
    big,
    bytes,
    of: (choices) => {
      if (choices.length === 0) throw new Error("nothing to choose from");
      return choices[int(choices.length)] as (typeof choices)[number];
    },
  };
}
