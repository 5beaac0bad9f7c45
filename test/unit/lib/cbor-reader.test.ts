import assert from "node:assert/strict";
import { encode } from "cborg";
import fc from "fast-check";
import { type CborReader, cborReader } from "../../../src/lib/cbor-reader.ts";
import { describe } from "../../support/harness.ts";

/** What `read` makes of these bytes, undefined where they are something else. */
function reading<T>(bytes: Uint8Array, read: (input: CborReader) => T): T | undefined {
  const input = cborReader(bytes);
  const value = read(input);
  return input.done() ? value : undefined;
}
const whole = (input: CborReader) => {
  input.map(2);
  input.text("a");
  const a = input.uint();
  input.text("bc");
  return { a, bc: input.amount(12) };
};

describe("lib/cbor-reader", (test) => {
  test("reads numbers of any size as the general encoder writes them", () => {
    for (const edge of [23, 24, 2 ** 8, 2 ** 16, 2 ** 32, Number.MAX_SAFE_INTEGER])
      for (const value of [edge - 1, edge, Math.min(edge + 1, Number.MAX_SAFE_INTEGER)])
        assert.equal(
          reading(encode(value), (input) => input.uint()),
          value,
        );
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        assert.equal(
          reading(encode(value), (input) => input.uint()),
          value,
        );
      }),
    );
  });

  test("reads amounts and bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 12 }), (some) => {
        const amount = BigInt(`0x${Buffer.from(some).toString("hex")}`);
        const expected = some[0] === 0 ? undefined : amount;
        const bytes = encode(some);
        assert.equal(
          reading(bytes, (input) => input.amount(12)),
          expected,
        );
        assert.equal(
          reading(bytes, (input) => input.amount(some.length - 1)),
          undefined,
        );
        assert.deepEqual(
          reading(bytes, (input) => input.bytes(some.length)),
          some,
        );
        assert.equal(
          reading(bytes, (input) => input.hex(some.length)),
          `0x${Buffer.from(some).toString("hex")}`,
        );
      }),
    );
    assert.equal(
      reading(encode(new Uint8Array()), (input) => input.amount(12)),
      0n,
    );
  });

  test("reads a whole in this order only, with nothing after it, cut nowhere, and each number in its shortest form", () => {
    const good = encode({ a: 300, bc: Uint8Array.of(5) });
    assert.deepEqual(reading(good, whole), { a: 300, bc: 5n });
    for (let length = 0; length < good.length; length += 1) assert.equal(reading(good.subarray(0, length), whole), undefined);
    for (const other of [
      Buffer.concat([good, Buffer.of(0)]),
      Buffer.from("a26261621901 2c62 6263 4105".replaceAll(" ", ""), "hex"),
      encode({ a: 300, bd: Uint8Array.of(5) }),
      encode({ a: -300, bc: Uint8Array.of(5) }),
      encode({ a: "300", bc: Uint8Array.of(5) }),
      encode([300, Uint8Array.of(5)]),
      // 20 in two bytes, 255 in three, in five and in nine; and lengths that are not told
      ...["a261611814626263 4105", "a2616119 00ff 626263 4105", "a261611a 000000ff 626263 4105"].map(unhex),
      ...["a261611b 00000000000000ff 626263 4105", "a2616114 626263 580105", "bf616114 626263 4105 ff", "a2616114 626263 5f4105ff"].map(
        unhex,
      ),
      ...["a261611b ffffffffffffffff 626263 4105", "a261611c 626263 4105", "a2616114 626263 5b7fffffffffffffff"].map(unhex),
    ])
      assert.equal(reading(other, whole), undefined);
    assert.deepEqual(reading(unhex("a2616114 626263 4105"), whole), { a: 20, bc: 5n });
  });
});

const unhex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
