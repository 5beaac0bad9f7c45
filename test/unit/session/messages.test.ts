import assert from "node:assert/strict";
import { encode } from "cborg";
import fc from "fast-check";
import type { SignedPromise } from "../../../src/payments/promise.ts";
import { general, readPurchase, type ToProvider, toConsumerCodec, toProviderCodec } from "../../../src/session/messages.ts";
import { describe } from "../../support/harness.ts";

const uint = (bits: number) => fc.bigInt({ min: 0n, max: 2n ** BigInt(bits) - 1n });
const plain = <T>(fields: { [Key in keyof T]: fc.Arbitrary<T[Key]> }) => fc.record(fields, { noNullPrototype: true });
const small = fc.oneof(fc.nat(300), fc.nat(), fc.maxSafeNat());
const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const promise: fc.Arbitrary<SignedPromise> = plain({
  channel: bytesOf(32).map((bytes) => `0x${Buffer.from(bytes).toString("hex")}` as const),
  cumulative: fc.oneof(uint(96), uint(20)),
  total: fc.oneof(uint(96), uint(50)),
  seq: uint(64),
  signature: bytesOf(64),
});
const purchase: fc.Arbitrary<Extract<ToProvider, { t: "promise" }>> = plain({
  t: fc.constant("promise" as const),
  n: small.map((n) => Math.max(1, n)),
  bought: plain({ bytes: uint(64), ms: small }),
  promise,
});

/** what the codec makes of it, or that it is no message */
const readBy = ({ decode }: typeof toProviderCodec, bytes: Uint8Array): ToProvider | undefined => {
  try {
    return decode(bytes);
  } catch {
    return undefined;
  }
};

describe("session/messages: what is read and written by hand", (test) => {
  test("a purchase is read by hand, and as by the general codec", () => {
    fc.assert(
      fc.property(purchase, (message) => {
        const bytes = toProviderCodec.encode(message);
        assert.ok(bytes.length <= 300);
        assert.deepEqual(readPurchase(bytes), message);
        assert.deepEqual(toProviderCodec.decode(bytes), message);
        assert.deepEqual(general.toProvider.decode(bytes), message);
        assert.deepEqual(toProviderCodec.decode(Buffer.concat([Buffer.of(7), bytes]).subarray(1)), message);
      }),
    );
  });

  test("whatever is done to its bytes, it is read as by the general codec or not at all", () => {
    const change = fc.record({ at: fc.nat(), to: fc.nat(255), drop: fc.nat(3), add: fc.uint8Array({ maxLength: 3 }) });
    fc.assert(
      fc.property(purchase, fc.array(change, { minLength: 1, maxLength: 3 }), (message, changes) => {
        let bytes = toProviderCodec.encode(message);
        for (const { at, to, drop, add } of changes) {
          const from = at % bytes.length;
          bytes = Uint8Array.from([...bytes.subarray(0, from), ...(drop ? add : [to]), ...bytes.subarray(from + Math.max(1, drop))]);
        }
        assert.deepEqual(readBy(toProviderCodec, bytes), readBy(general.toProvider, bytes));
      }),
      { numRuns: 3_000 },
    );
  });

  test("what it may not hold is refused, each by itself", () => {
    const good = { n: 1, t: "promise", bought: { ms: 0, bytes: Uint8Array.of(1) } };
    const signed = { seq: Uint8Array.of(9), total: Uint8Array.of(7), channel: new Uint8Array(32), signature: new Uint8Array(64) };
    const whole = { ...good, promise: { ...signed, cumulative: Uint8Array.of(5) } };
    const tooMuch = new Uint8Array(13).fill(1);
    assert.ok(readBy(toProviderCodec, encode(whole)));
    for (const bad of [
      { ...whole, n: 0 },
      { ...whole, n: 2 ** 53 },
      { ...whole, bought: { ms: 0, bytes: new Uint8Array(9).fill(1) } },
      { ...whole, bought: { ms: 0, bytes: Uint8Array.of(0, 1) } },
      { ...whole, bought: { ms: -1, bytes: Uint8Array.of(1) } },
      { ...whole, promise: { ...whole.promise, cumulative: tooMuch } },
      { ...whole, promise: { ...whole.promise, total: tooMuch } },
      { ...whole, promise: { ...whole.promise, seq: new Uint8Array(9).fill(1) } },
      { ...whole, promise: { ...whole.promise, signature: new Uint8Array(65) } },
      { ...whole, promise: { ...whole.promise, channel: new Uint8Array(31) } },
      { ...whole, promise: { ...whole.promise, more: 1 } },
      { ...whole, more: 1 },
    ])
      assert.equal(readBy(toProviderCodec, encode(bad)), undefined);
    assert.equal(readBy(toProviderCodec, Buffer.concat([encode(whole), Buffer.of(0)])), undefined);
  });

  test("an acknowledgement is written as by the general codec", () => {
    for (const n of [0, 1, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32, Number.MAX_SAFE_INTEGER])
      assert.deepEqual(toConsumerCodec.encode({ t: "ack", n }), general.toConsumer.encode({ t: "ack", n }));
    for (const n of [-1, 1.5]) assert.throws(() => toConsumerCodec.encode({ t: "ack", n }));
  });
});
