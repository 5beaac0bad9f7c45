import assert from "node:assert/strict";
import { decode, encode } from "cborg";
import fc from "fast-check";
import type { Hex } from "../../../src/lib/codec.ts";
import { providerChannelRecord } from "../../../src/payments/records.ts";
import { describe } from "../../support/harness.ts";

const uint = (bits: number) => fc.oneof(fc.bigInt({ min: 0n, max: (1n << BigInt(bits)) - 1n }), fc.bigInt({ min: 0n, max: 300n }));
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const hex = (length: number) => bytes(length).map((value) => `0x${Buffer.from(value).toString("hex")}` as Hex);

const record = <T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record(fields, { noNullPrototype: true });
const channels = record({
  signer: hex(20),
  channel: hex(32),
  peer: fc.string({ maxLength: 100, unit: "binary-ascii" }),
  salt: bytes(12),
  best: record({ channel: hex(32), cumulative: uint(96), total: uint(96), seq: uint(64), signature: bytes(64) }),
  consumed: uint(96),
  paid: uint(96),
});

describe("payments/records: a provider's channel, written by hand", (test) => {
  test("is read back by the schema, and is to the byte what the general encoder makes of it", () => {
    fc.assert(
      fc.property(channels, (channel) => {
        const written = providerChannelRecord.encode(channel);
        assert.deepEqual(providerChannelRecord.decode(written), channel);
        assert.deepEqual(encode(decode(written)), written);
      }),
    );
  });
});
