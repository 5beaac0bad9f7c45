import { decode as decodeCbor, encode as encodeCbor } from "cborg";
import { z } from "zod";
import { MystError } from "./errors.ts";

/** Lower-case hex with its 0x. */
export type Hex = `0x${string}`;

/** How a kind of message is written and read; `decode` throws MALFORMED on anything that is not exactly it. */
export type Codec<T> = { encode(value: T): Uint8Array; decode(bytes: Uint8Array): T };

const toBytes = (value: bigint, length: number): Uint8Array => {
  const hex = value.toString(16).padStart(length * 2, "0");
  return Uint8Array.from(Buffer.from(hex, "hex"));
};
const toBigint = (bytes: Uint8Array): bigint => (bytes.length === 0 ? 0n : BigInt(`0x${Buffer.from(bytes).toString("hex")}`));
const minimalBytes = (value: bigint): Uint8Array =>
  value === 0n ? new Uint8Array() : toBytes(value, Math.ceil(value.toString(16).length / 2));

/** Bytes of exactly `length`. */
export const fixedBytes = (length: number) =>
  z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length === length, `expected ${length} bytes`);

/** Bytes of at most `max`. */
export const boundedBytes = (max: number) =>
  z.custom<Uint8Array>((value) => value instanceof Uint8Array && value.length <= max, `expected at most ${max} bytes`);

/** An unsigned amount, on the wire as minimal big-endian bytes: JSON and CBOR numbers lose wei. At most `bits` wide. */
export const wireUint = (bits: number) =>
  z.codec(
    boundedBytes(bits / 8).refine((bytes) => bytes[0] !== 0, "leading zero"),
    z
      .bigint()
      .min(0n)
      .max(2n ** BigInt(bits) - 1n),
    { decode: toBigint, encode: minimalBytes },
  );

/** A 20-byte address, as `0x` + 40 lower-case hex digits in memory. */
export const wireAddress = z.codec(
  fixedBytes(20),
  z.custom<Hex>((value) => /^0x[0-9a-f]{40}$/.test(String(value))),
  {
    decode: (bytes) => `0x${Buffer.from(bytes).toString("hex")}` as Hex,
    encode: (address) => Uint8Array.from(Buffer.from(address.slice(2), "hex")),
  },
);

/** What is known to be common, by hand: undefined for anything else. It must read and write just as the codec does. */
export type QuickWay<T> = {
  read?(bytes: Uint8Array): T | undefined;
  /** what is longer is not given to `read` */
  maxBytes?: number;
  write?(value: T): Uint8Array | undefined;
};

/** The same codec with a quick way for what is common; the codec decides on all that this does not know. */
export const quicker = <T>(codec: Codec<T>, { read, maxBytes = 0, write }: QuickWay<T>): Codec<T> => ({
  encode: (value) => write?.(value) ?? codec.encode(value),
  decode: (bytes) => (bytes.length <= maxBytes ? read?.(bytes) : undefined) ?? codec.decode(bytes),
});

/**
 * CBOR (RFC 8949), capped at `maxBytes` before it is parsed, then checked against a strict zod schema.
 * Indefinite lengths, duplicate map keys and floats where the schema wants integers are refused; where it is `canonical`, also what `encode` would
 * write otherwise. For that what was parsed is written again before it goes through the schema, whose parts have one form on the wire each: half
 * the time of encoding what came out of it.
 */
export function cborCodec<S extends z.ZodType>(schema: S, maxBytes: number, { canonical = false } = {}): Codec<z.output<S>> {
  return {
    encode: (value) => encodeCbor(z.encode(schema, value)),
    decode: (bytes) => {
      if (bytes.length > maxBytes) throw new MystError("MALFORMED", `message of ${bytes.length} bytes, at most ${maxBytes} allowed`);
      try {
        const raw = decodeCbor(bytes, { strict: true, allowIndefinite: false, rejectDuplicateMapKeys: true, allowUndefined: false });
        if (canonical && Buffer.compare(encodeCbor(raw), bytes) !== 0) throw new Error("not encoded canonically");
        return z.decode(schema, raw as z.input<S>) as z.output<S>;
      } catch (cause) {
        throw new MystError("MALFORMED", "message does not have the expected form", { cause });
      }
    },
  };
}
