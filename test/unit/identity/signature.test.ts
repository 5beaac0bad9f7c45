import assert from "node:assert/strict";
import fc from "fast-check";
import { privateKeyToAccount, sign as viemSign } from "viem/accounts";
import { recoverAddress as viemRecover } from "viem/utils";
import { assertCurveSpeed } from "../../../src/identity/curve-speed.ts";
import { createIdentity } from "../../../src/identity/identity.ts";
import { addressOf, publicKeyOf, recoverAddress, signDigest } from "../../../src/identity/signature.ts";
import { isMystError } from "../../../src/lib/errors.ts";
import { describe } from "../../support/harness.ts";

const hex = (bytes: Uint8Array): `0x${string}` => `0x${Buffer.from(bytes).toString("hex")}`;
const fromBig = (value: bigint): Uint8Array => Uint8Array.from(Buffer.from(value.toString(16).padStart(64, "0"), "hex"));
const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const keys = fc.bigInt({ min: 1n, max: order - 1n }).map(fromBig);
const digests = fc.uint8Array({ minLength: 32, maxLength: 32 });

describe("identity/signature: the curve", (test) => {
  test("agrees with viem on addresses, signatures and recovery", async () => {
    await fc.assert(
      fc.asyncProperty(keys, digests, async (key, digest) => {
        assert.equal(addressOf(publicKeyOf(key)), privateKeyToAccount(hex(key)).address.toLowerCase());
        const signature = signDigest(digest, key);
        const { r, s, yParity } = await viemSign({ hash: hex(digest), privateKey: hex(key) });
        assert.equal(hex(signature.slice(0, 32)), `0x${r.slice(2).padStart(64, "0")}`);
        assert.equal(BigInt(hex(signature.slice(32))), BigInt(s) | (BigInt(yParity ?? 0) << 255n));
        assert.equal(
          recoverAddress(digest, signature),
          (await viemRecover({ hash: hex(digest), signature: { r, s, yParity: yParity ?? 0 } })).toLowerCase(),
        );
      }),
      { numRuns: 20 },
    );
  });

  test("takes no signature of 65 bytes, with a high s, or of no point", () => {
    const key = new Uint8Array(32).fill(3);
    const digest = new Uint8Array(32).fill(4);
    const signature = signDigest(digest, key);
    const bad = (error: unknown) => isMystError(error, "BAD_SIGNATURE");
    assert.throws(() => recoverAddress(digest, Uint8Array.of(...signature, 27)), bad);
    const halfOrder = order >> 1n;
    const withS = (s: bigint) => Uint8Array.of(...signature.slice(0, 32), ...fromBig(s));
    assert.doesNotThrow(() => recoverAddress(digest, withS(halfOrder)));
    assert.throws(() => recoverAddress(digest, withS(halfOrder + 1n)), bad);
    assert.throws(() => recoverAddress(digest, new Uint8Array(64)), bad);
    assert.throws(() => recoverAddress(digest, new Uint8Array(64).fill(0xff)), bad);
  });

  test("a key outside of the group is none, and the error does not quote it", () => {
    for (const key of [new Uint8Array(32), fromBig(order), new Uint8Array(31).fill(1)])
      assert.throws(
        () => createIdentity(key),
        (error: Error) => isMystError(error, "KEYSTORE_INVALID") && error.cause === undefined && !error.message.includes("00000"),
      );
  });

  test("says when the curve is too slow to serve", () => {
    assert.equal(assertCurveSpeed(2_000), undefined);
    const warning = assertCurveSpeed(650);
    assert.equal(warning?.code, "SLOW_CRYPTO");
    assert.ok(warning?.hint);
  });
});
