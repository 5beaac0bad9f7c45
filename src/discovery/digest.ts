import { createHash, randomBytes } from "node:crypto";

/**
 * What somebody has, in few bits: a Bloom filter over offers' signatures, 10 bits and 7 places each, so that of what is missing some 1 %
 * looks as if it were there. The salt is the asker's own and new for each question: what one peer leaves out by chance another does
 * not, and nobody can make offers that are left out.
 */
export type Digest = { salt: Uint8Array; bits: Uint8Array };

export const saltBytes = 8;
export const maxDigestBytes = 16 * 1024;
const bitsEach = 10;
const places = 7;

const placesOf = (salt: Uint8Array, signature: Uint8Array, size: number): number[] => {
  const hash = createHash("sha256").update(salt).update(signature).digest();
  const first = hash.readUInt32BE(0);
  const step = (hash.readUInt32BE(4) | 1) >>> 0;
  return Array.from({ length: places }, (_, index) => (first + index * step) % size);
};

/** @param signatures of all that is there */
export function digestOf(signatures: Uint8Array[], salt: Uint8Array = Uint8Array.from(randomBytes(saltBytes))): Digest {
  const bytes = Math.min(maxDigestBytes, Math.max(1, Math.ceil((signatures.length * bitsEach) / 8)));
  const bits = new Uint8Array(bytes);
  for (const signature of signatures)
    for (const place of placesOf(salt, signature, bytes * 8)) bits[place >> 3] = (bits[place >> 3] ?? 0) | (1 << (place & 7));
  return { salt, bits };
}

/** Is it there? A yes is wrong some one time in a hundred, a no never. */
export const digestHas = ({ salt, bits }: Digest, signature: Uint8Array): boolean =>
  bits.length > 0 && placesOf(salt, signature, bits.length * 8).every((place) => ((bits[place >> 3] ?? 0) >> (place & 7)) & 1);
