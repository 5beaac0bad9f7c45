import assert from "node:assert/strict";
import { keccak_256 } from "@noble/hashes/sha3.js";
import fc from "fast-check";
import { keccak256, keccakHex, keccakReady } from "../../../src/lib/keccak.ts";
import { describe } from "../../support/harness.ts";

/** Keccak-256 of "abc", from its authors' test vectors */
const ofAbc = "0x4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45";
const atStart = keccakHex(Buffer.from("abc"));

describe("lib/keccak", (test) => {
  test("is Keccak-256 from the first call on, before WebAssembly is there and after", async () => {
    assert.equal(atStart, ofAbc);
    await keccakReady();
    assert.equal(keccakHex(Buffer.from("abc")), ofAbc);
  });

  test("hashes every length, and parts of a larger memory, as the JavaScript does", async () => {
    await keccakReady();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 700 }), fc.nat(50), (bytes, from) => {
        const part = bytes.subarray(Math.min(from, bytes.length));
        const hash = keccak256(part);
        assert.deepEqual(hash, keccak_256(part));
        // the next one does not change it
        keccak256(Buffer.of(1));
        assert.deepEqual(hash, keccak_256(part));
      }),
    );
    const large = new Uint8Array(100_000).fill(7);
    assert.deepEqual(keccak256(large), keccak_256(large));
  });
});
