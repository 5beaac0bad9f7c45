import assert from "node:assert/strict";
import { encode } from "cborg";
import fc from "fast-check";
import { cborWriter } from "../../../src/lib/cbor-writer.ts";
import { describe } from "../../support/harness.ts";

describe("lib/cbor-writer", (test) => {
  test("writes texts, bytes and maps of any length like the general encoder", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 400, unit: "grapheme" }), fc.uint8Array({ maxLength: 400 }), (text, some) => {
        const written = cborWriter(10_000).map(2).text("a").text(text).text("b").bytes(some).done();
        assert.deepEqual(written, encode({ a: text, b: some }));
      }),
    );
  });

  test("writes nothing beyond its room", () => {
    const ten = new Uint8Array(10);
    assert.equal(cborWriter(13).bytes(ten).done().length, 11);
    for (const write of [
      () => cborWriter(12).bytes(ten).bytes(ten),
      () => cborWriter(12).text("0123456789").text("0"),
      () => cborWriter(12).hex(`0x${"00".repeat(20)}`),
      () => cborWriter(1).map(1),
    ])
      assert.throws(write, RangeError);
  });
});
