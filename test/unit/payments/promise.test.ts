import assert from "node:assert/strict";
import fc from "fast-check";
import { cborCodec, type Hex } from "../../../src/lib/codec.ts";
import { isMystError } from "../../../src/lib/errors.ts";
import { clearingDomain } from "../../../src/payments/eip712.ts";
import { newSalt, promiseSigner, type SignedPromise, signPromise, wirePromise } from "../../../src/payments/promise.ts";
import { describe } from "../../support/harness.ts";
import { channel, domain, payer } from "./fixtures.ts";

const codec = cborCodec(wirePromise, 200);
const promise = signPromise(domain, payer, { channel, cumulative: 5n, total: 7n, seq: 9n });
const signerOf = (changed: SignedPromise, of = domain): Hex | undefined => {
  try {
    return promiseSigner(of, changed);
  } catch {
    return undefined;
  }
};

describe("payments/promise: signed and sent", (test) => {
  test("belongs to its signer, its content, its chain and its contract, and to no other", () => {
    assert.equal(signerOf(promise), payer.address);
    const changes: Partial<SignedPromise>[] = [{ channel: `0x${"00".repeat(32)}` }, { cumulative: 6n }, { total: 8n }, { seq: 10n }];
    for (const change of changes) assert.notEqual(signerOf({ ...promise, ...change }), payer.address);
    assert.notEqual(signerOf(promise, clearingDomain({ ...domain, chainId: 1 })), payer.address);
    assert.notEqual(signerOf(promise, clearingDomain({ ...domain, contract: `0x${"c2".repeat(20)}` })), payer.address);
  });

  test("comes back from the wire as it was, in at most 200 bytes", () => {
    const uint = (bits: number) => fc.bigInt({ min: 0n, max: 2n ** BigInt(bits) - 1n });
    fc.assert(
      fc.property(uint(96), uint(96), uint(64), (cumulative, total, seq) => {
        const sent = { ...promise, cumulative, total, seq };
        const bytes = codec.encode(sent);
        assert.ok(bytes.length <= 200);
        assert.deepEqual(codec.decode(bytes), sent);
      }),
    );
  });

  test("anything else from the wire is malformed", () => {
    const bytes = codec.encode(promise);
    const malformed = (error: unknown) => isMystError(error, "MALFORMED");
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 250 }), (noise) => {
        assert.throws(() => codec.decode(noise), malformed);
      }),
    );
    for (let end = 0; end < bytes.length; end += 1) assert.throws(() => codec.decode(bytes.slice(0, end)), malformed);
    assert.throws(() => codec.encode({ ...promise, cumulative: 2n ** 96n }));
  });

  test("a channel's salt is never the same twice", () => {
    const salts = new Set(Array.from({ length: 100 }, () => Buffer.from(newSalt()).toString("hex")));
    assert.equal(salts.size, 100);
  });
});
