/**
 * Reads CBOR (RFC 8949) of a known form, without the general decoder's look at every value: the other side of `cborWriter`. What is not
 * written exactly so is not read: `done` tells, and the general decoder says whether it is a message at all. Nothing is thrown.
 */
export type CborReader = {
  /** The head of a map with so many entries. */
  map(entries: number): void;
  /** This very text, at most 23 characters of ASCII. */
  text(expected: string): void;
  /** An unsigned integer, up to 2^53 - 1. */
  uint(): number;
  /** So many bytes, in memory of their own. */
  bytes(length: number): Uint8Array;
  /** So many bytes as `0x…`. */
  hex(length: number): `0x${string}`;
  /** An amount as `wireUint` has it, of at most so many bytes (12 at most). */
  amount(most: number): bigint;
  /** Whether all was as it was asked for, and nothing is left. */
  done(): boolean;
};

/** the least number that a head of 1, 2, 4, 8 more bytes may hold */
const least = [24, 2 ** 8, 2 ** 16, 2 ** 32];

export function cborReader(bytes: Uint8Array): CborReader {
  const input = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  let isGood = true;
  const miss = (): number => {
    isGood = false;
    return -1;
  };
  /** the number in a head of this major type, in its shortest form; -1 for any other */
  const head = (major: number): number => {
    const first = input[at] ?? 0xff;
    const size = (first & 31) - 24;
    if (first >> 5 !== major || size > 3) return miss();
    at += 1;
    if (size < 0) return size + 24;
    const from = take(1 << size);
    if (!isGood) return -1;
    const value = size < 3 ? input.readUIntBE(from, 1 << size) : input.readUInt32BE(from) * 2 ** 32 + input.readUInt32BE(from + 4);
    return value >= (least[size] ?? 0) && Number.isSafeInteger(value) ? value : miss();
  };
  /** where so many bytes begin, which are read with that */
  const take = (length: number): number => {
    const from = at;
    if (from + length > input.length) miss();
    else at += length;
    return from;
  };
  const fixed = (major: number, length: number): number => {
    if (head(major) !== length) miss();
    return take(length);
  };
  return {
    map: (entries) => {
      if (head(5) !== entries) miss();
    },
    text: (expected) => {
      const from = fixed(3, expected.length);
      for (let i = 0; i < expected.length; i += 1) if (input[from + i] !== expected.charCodeAt(i)) miss();
    },
    uint: () => head(0),
    bytes: (length) => {
      const from = fixed(2, length);
      return new Uint8Array(input.subarray(from, from + length));
    },
    hex: (length) => {
      const from = fixed(2, length);
      return `0x${input.toString("hex", from, from + length)}`;
    },
    amount: (most) => {
      const length = head(2);
      if (length > most) miss();
      if (!isGood || length === 0) return 0n;
      const from = take(length);
      if (input[from] === 0) miss();
      if (!isGood) return 0n;
      if (length <= 6) return BigInt(input.readUIntBE(from, length));
      return (BigInt(input.readUIntBE(from, length - 6)) << 48n) | BigInt(input.readUIntBE(from + length - 6, 6));
    },
    done: () => isGood && at === input.length,
  };
}
