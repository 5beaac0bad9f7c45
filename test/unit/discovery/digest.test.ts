import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { digestHas, digestOf, maxDigestBytes } from "../../../src/discovery/digest.ts";
import { describe } from "../../support/harness.ts";

const signatures = (count: number) => Array.from({ length: count }, () => Uint8Array.from(randomBytes(64)));

describe("discovery/digest", (test) => {
  test("what is there is there; of what is not, few look as if, and others each time", () => {
    const [held, missing] = [signatures(1000), signatures(2000)];
    const [one, other] = [digestOf(held), digestOf(held)];
    assert.equal(one.bits.length, 1250);
    assert.ok(held.every((signature) => digestHas(one, signature)));
    const wrong = missing.filter((signature) => digestHas(one, signature));
    assert.ok(wrong.length < 100, `${wrong.length} of 2000`);
    assert.ok(wrong.filter((signature) => digestHas(other, signature)).length < 10);
  });

  test("of nothing it holds nothing; bounded, however much there is; whatever others send is borne", () => {
    const [signature = new Uint8Array()] = signatures(1);
    assert.equal(digestHas(digestOf([]), signature), false);
    assert.equal(digestHas({ salt: new Uint8Array(8), bits: new Uint8Array() }, signature), false);
    assert.equal(digestHas({ salt: new Uint8Array(8), bits: Uint8Array.of(255) }, signature), true);
    assert.equal(digestOf(signatures(20_000)).bits.length, maxDigestBytes);
  });
});
