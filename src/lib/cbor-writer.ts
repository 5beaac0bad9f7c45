/**
 * Writes CBOR (RFC 8949) of a known form, without the general encoder's look at every value: where a record is written a thousand times
 * a second. Definite lengths, shortest heads. The caller writes a map's keys in the order that the general encoder has: shorter first.
 */
export type CborWriter = {
  map(entries: number): CborWriter;
  text(value: string): CborWriter;
  bytes(value: Uint8Array): CborWriter;
  /** `0x…` as bytes */
  hex(value: string): CborWriter;
  /** an amount as minimal big-endian bytes, as `wireUint` has it; at most 128 bits */
  amount(value: bigint): CborWriter;
  /** an unsigned integer, up to 2^16 - 1 */
  uint(value: number): CborWriter;
  /** what was written, in memory of its own */
  done(): Uint8Array;
};

/** @param most bytes that it can take; more throws a RangeError */
export function cborWriter(most: number): CborWriter {
  const out = Buffer.allocUnsafe(most);
  let at = 0;
  const room = (length: number) => {
    if (at + length > most) throw new RangeError(`over ${most} bytes of CBOR`);
  };
  const head = (major: number, length: number) => {
    room(3);
    if (length < 24) at = out.writeUInt8((major << 5) | length, at);
    else if (length < 256) at = out.writeUInt8(length, out.writeUInt8((major << 5) | 24, at));
    else at = out.writeUInt16BE(length, out.writeUInt8((major << 5) | 25, at));
  };
  const writer: CborWriter = {
    map: (entries) => {
      head(5, entries);
      return writer;
    },
    uint: (value) => {
      head(0, value);
      return writer;
    },
    text: (value) => {
      const length = Buffer.byteLength(value);
      head(3, length);
      room(length);
      at += out.write(value, at);
      return writer;
    },
    bytes: (value) => {
      head(2, value.length);
      room(value.length);
      out.set(value, at);
      at += value.length;
      return writer;
    },
    hex: (value) => {
      const length = (value.length - 2) / 2;
      head(2, length);
      room(length);
      at += out.write(value.slice(2), at, "hex");
      return writer;
    },
    amount: (value) => {
      const digits = value === 0n ? "" : value.toString(16);
      return writer.hex(digits.length % 2 ? `0x0${digits}` : `0x${digits}`);
    },
    done: () => new Uint8Array(out.subarray(0, at)),
  };
  return writer;
}
