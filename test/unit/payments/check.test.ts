import assert from "node:assert/strict";
import fc from "fast-check";
import { cborCodec, type Hex } from "../../../src/lib/codec.ts";
import { isMystError } from "../../../src/lib/errors.ts";
import { allBps, checkSigner, feeOf, type SignedCheck, signCheck, wireCheck } from "../../../src/payments/check.ts";
import { clearingDomain, type PromiseData } from "../../../src/payments/eip712.ts";
import { describe } from "../../support/harness.ts";
import { channel, domain, provider } from "./fixtures.ts";

const codec = cborCodec(wireCheck, 200);
const promise: PromiseData = { channel, cumulative: 5n, total: 7n, seq: 9n };
const check = signCheck(domain, provider, promise, { to: provider.address, feeBps: 200, deadline: 1_700_000_000n });
const signerOf = (changed: SignedCheck, of = domain, what = promise): Hex | undefined => {
  try {
    return checkSigner(of, what, changed);
  } catch {
    return undefined;
  }
};

describe("payments/check: signed and sent", (test) => {
  test("belongs to its provider, its promise, its terms, its chain and its contract, and to no other", () => {
    assert.equal(signerOf(check), provider.address);
    const changes: Partial<SignedCheck>[] = [{ to: `0x${"01".repeat(20)}` }, { feeBps: 201 }, { deadline: 1_700_000_001n }];
    for (const change of changes) assert.notEqual(signerOf({ ...check, ...change }), provider.address);
    assert.notEqual(signerOf(check, domain, { ...promise, cumulative: 6n }), provider.address);
    assert.notEqual(signerOf(check, clearingDomain({ ...domain, chainId: 1 })), provider.address);
    assert.notEqual(signerOf(check, clearingDomain({ ...domain, contract: `0x${"c2".repeat(20)}` })), provider.address);
  });

  test("comes back from the wire as it was; what no contract would take is malformed", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10_000 }), fc.bigInt({ min: 0n, max: 2n ** 40n - 1n }), (feeBps, deadline) => {
        const sent = { ...check, feeBps, deadline };
        assert.deepEqual(codec.decode(codec.encode(sent)), sent);
      }),
    );
    assert.throws(() => codec.encode({ ...check, feeBps: 10_001 }));
    assert.throws(() => codec.encode({ ...check, deadline: 2n ** 40n }));
    const bytes = codec.encode(check);
    for (let end = 0; end < bytes.length; end += 1)
      assert.throws(
        () => codec.decode(bytes.slice(0, end)),
        (error) => isMystError(error, "MALFORMED"),
      );
  });

  test("the fee is rounded down, as the contract does, and is the whole at 10,000", () => {
    assert.deepEqual([feeOf(49n, 200), feeOf(50n, 200), feeOf(99n, 200), feeOf(100n, 200)], [0n, 1n, 1n, 2n]);
    assert.deepEqual([feeOf(7n, 0), feeOf(7n, Number(allBps))], [0n, 7n]);
  });
});
