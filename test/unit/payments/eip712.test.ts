import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { hashTypedData } from "viem/utils";
import { createIdentity } from "../../../src/identity/identity.ts";
import { recoverAddress } from "../../../src/identity/signature.ts";
import type { Hex } from "../../../src/lib/codec.ts";
import { checkDigest, clearingDomain, openDigest, promiseDigest, termsDigest } from "../../../src/payments/eip712.ts";
import { channelId } from "../../../src/payments/promise.ts";
import { describe } from "../../support/harness.ts";

const hex = (bytes: Uint8Array): Hex => `0x${Buffer.from(bytes).toString("hex")}`;
const unhex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replace(/^0x/, ""), "hex"));
const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length }).map(hex);
const uint = (bits: number) => fc.bigInt({ min: 0n, max: 2n ** BigInt(bits) - 1n });
const networks = fc.record({ chainId: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), contract: bytesOf(20) });

const types = {
  Promise: [
    { name: "channel", type: "bytes32" },
    { name: "cumulative", type: "uint96" },
    { name: "total", type: "uint96" },
    { name: "seq", type: "uint64" },
  ],
  Check: [
    { name: "promiseHash", type: "bytes32" },
    { name: "to", type: "address" },
    { name: "feeBps", type: "uint16" },
    { name: "deadline", type: "uint40" },
  ],
  Open: [{ name: "owner", type: "address" }],
  Terms: [
    { name: "session", type: "bytes32" },
    { name: "signer", type: "address" },
    { name: "channel", type: "bytes32" },
    { name: "perHour", type: "uint96" },
    { name: "perGiB", type: "uint96" },
    { name: "quantum", type: "uint96" },
    { name: "validUntil", type: "uint64" },
  ],
};
const byViem = (network: { chainId: number; contract: Hex }, primaryType: keyof typeof types, message: object) =>
  hashTypedData({
    domain: { name: "MystClearing", version: "1", chainId: network.chainId, verifyingContract: network.contract },
    types,
    primaryType,
    message,
  } as never);

type Vectors = {
  keys: Record<string, string>;
  signer: Hex;
  provider: Hex;
  domains: {
    chainId: number;
    contract: Hex;
    separator: Hex;
    promises: { salt: string; cumulative: string; total: string; seq: string; channel: Hex; digest: Hex; signature: Hex }[];
    checks: { promiseHash: Hex; to: Hex; feeBps: number; deadline: string; digest: Hex; signature: Hex }[];
    open: { owner: Hex; digest: Hex; signature: Hex };
    terms: (Record<"session" | "signer" | "channel" | "digest", Hex> & Record<"perHour" | "perGiB" | "quantum" | "validUntil", string>)[];
  }[];
};
const vectors: Vectors = JSON.parse(readFileSync(new URL("../../../contracts/vectors/eip712.json", import.meta.url), "utf8"));

describe("payments/eip712: digests", (test) => {
  test("are those of viem for any content", () => {
    const contents = fc.record({
      network: networks,
      promise: fc.record({ channel: bytesOf(32), cumulative: uint(96), total: uint(96), seq: uint(64) }),
      check: fc.record({ promiseHash: bytesOf(32), to: bytesOf(20), feeBps: fc.integer({ min: 0, max: 65_535 }), deadline: uint(40) }),
      owner: bytesOf(20),
      terms: fc.record({
        session: bytesOf(32),
        signer: bytesOf(20),
        channel: bytesOf(32),
        perHour: uint(96),
        perGiB: uint(96),
        quantum: uint(96),
        validUntil: uint(64),
      }),
    });
    fc.assert(
      fc.property(contents, ({ network, promise, check, owner, terms }) => {
        const domain = clearingDomain(network);
        assert.equal(hex(promiseDigest(domain, promise)), byViem(network, "Promise", promise));
        assert.equal(hex(checkDigest(domain, check)), byViem(network, "Check", check));
        assert.equal(hex(openDigest(domain, owner)), byViem(network, "Open", { owner }));
        assert.equal(hex(termsDigest(domain, terms)), byViem(network, "Terms", terms));
      }),
      { numRuns: 50 },
    );
  });

  test("and signatures are those that the contract's tests read", () => {
    const signer = createIdentity(unhex(vectors.keys.signer ?? ""));
    assert.ok(vectors.domains.length > 0);
    for (const { chainId, contract, separator, promises, checks, open, terms } of vectors.domains) {
      const domain = clearingDomain({ chainId, contract });
      assert.equal(hex(domain.separator), separator);
      assert.ok(promises.length > 0 && checks.length > 0 && terms.length > 0);
      for (const each of promises) {
        const salt = unhex(BigInt(each.salt).toString(16).padStart(24, "0"));
        assert.equal(channelId(vectors.provider, salt), each.channel);
        const promise = { channel: each.channel, cumulative: BigInt(each.cumulative), total: BigInt(each.total), seq: BigInt(each.seq) };
        const digest = promiseDigest(domain, promise);
        assert.equal(hex(digest), each.digest);
        assert.equal(hex(signer.sign(digest)), each.signature);
        assert.equal(recoverAddress(digest, unhex(each.signature)), vectors.signer);
      }
      for (const each of checks) {
        const digest = checkDigest(domain, { ...each, deadline: BigInt(each.deadline) });
        assert.equal(hex(digest), each.digest);
        assert.equal(recoverAddress(digest, unhex(each.signature)), vectors.provider);
      }
      assert.equal(hex(openDigest(domain, open.owner)), open.digest);
      for (const each of terms) {
        const uints = {
          perHour: BigInt(each.perHour),
          perGiB: BigInt(each.perGiB),
          quantum: BigInt(each.quantum),
          validUntil: BigInt(each.validUntil),
        };
        assert.equal(hex(termsDigest(domain, { ...each, ...uints })), each.digest);
      }
    }
  });
});
