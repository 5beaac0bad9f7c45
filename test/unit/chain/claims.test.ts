import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { encodeAbiParameters, encodeEventTopics, type Log, slice, toBytes } from "viem";
import { mystClearingAbi } from "../../../src/chain/abi/myst-clearing.ts";
import { checkArgs, claimArgs, creditedOf, packContent, paidOf, unpackContent } from "../../../src/chain/claims.ts";
import { finalBlock } from "../../../src/chain/events.ts";
import type { Hex } from "../../../src/lib/codec.ts";
import { channelId } from "../../../src/payments/promise.ts";
import type { Claim } from "../../../src/payments/settlement.ts";
import { describe } from "../../support/harness.ts";

const address = (digit: string): Hex => `0x${digit.repeat(40)}`;
const provider = address("a");
const contract = address("c");
const salt = Uint8Array.from({ length: 12 }, (_, i) => i);
const claim = (signer: Hex, cumulative: bigint): Claim => ({
  signer,
  salt,
  cumulative,
  total: 9n,
  seq: 1n,
  signature: new Uint8Array(64).fill(7),
});

const cleared = (promised: Claim, paid: bigint, from = contract): Log =>
  ({
    address: from,
    topics: encodeEventTopics({
      abi: mystClearingAbi,
      eventName: "Cleared",
      args: { signer: promised.signer, channel: channelId(provider, salt) },
    }),
    data: encodeAbiParameters([{ type: "bytes32" }, { type: "uint96" }], [packContent(promised), paid]),
  }) as unknown as Log;

describe("chain/claims", (test) => {
  const one = claim(address("1"), 100n);
  const two = claim(address("2"), 100n);

  test("each claim gets what its own event says; one without an event was skipped", () => {
    assert.deepEqual(paidOf([one, two], provider, contract, [cleared(two, 40n)]), [0n, 40n]);
    assert.deepEqual(paidOf([one, two], provider, contract, [cleared(two, 40n), cleared(one, 100n)]), [100n, 40n]);
  });

  test("of two alike the first was paid", () => {
    assert.deepEqual(paidOf([one, one], provider, contract, [cleared(one, 100n)]), [100n, 0n]);
  });

  test("of two promises on a channel each has its own", () => {
    const later = claim(address("1"), 150n);
    assert.deepEqual(paidOf([later, one], provider, contract, [cleared(one, 100n), cleared(later, 50n)]), [50n, 100n]);
  });

  test("events of other contracts, and of other providers' channels, are nothing to us", () => {
    assert.deepEqual(paidOf([one], provider, contract, [cleared(one, 100n, address("d"))]), [0n]);
    assert.deepEqual(paidOf([one], address("b"), contract, [cleared(one, 100n)]), [0n]);
  });

  const checked: Claim = {
    ...one,
    check: { provider, to: address("e"), feeBps: 200, deadline: 2n ** 40n - 1n, signature: new Uint8Array(64).fill(9) },
  };

  test("a claim with a check is on its own provider's channel, whoever submits it", () => {
    assert.deepEqual(paidOf([checked, two], address("b"), contract, [cleared(one, 100n)]), [100n, 0n]);
    assert.deepEqual(checkArgs(checked), {
      provider,
      to: address("e"),
      feeBps: 200,
      deadline: 2 ** 40 - 1,
      signature: { r: `0x${"09".repeat(32)}`, vs: `0x${"09".repeat(32)}` },
    });
  });

  test("what others are credited is not what the token did not let through to us", () => {
    const credited = (to: Hex, amount: bigint): Log =>
      ({
        address: contract,
        topics: encodeEventTopics({ abi: mystClearingAbi, eventName: "Credited", args: { to } }),
        data: encodeAbiParameters([{ type: "uint256" }], [amount]),
      }) as unknown as Log;
    const logs = [credited(address("e"), 98n), credited(address("b"), 2n)];
    assert.deepEqual([creditedOf(contract, logs), creditedOf(contract, logs, address("b"))], [100n, 2n]);
  });

  test("signer and salt are one word on chain, what is promised another, the signature two", () => {
    const args = claimArgs({ ...one, total: 2n ** 96n - 1n });
    assert.equal(args.payer, `${address("1")}000102030405060708090a0b`);
    assert.equal(args.content, `0x${"64".padStart(24, "0")}${"f".repeat(24)}${"1".padStart(16, "0")}`);
    assert.equal(args.signature.r, `0x${"07".repeat(32)}`);
    assert.equal(args.signature.vs, args.signature.r);
  });

  test("a claim's words are those of the shared vectors", () => {
    const file = new URL("../../../contracts/vectors/eip712.json", import.meta.url);
    const { signer, domains } = JSON.parse(readFileSync(file, "utf8"));
    const promises = domains.flatMap((domain: { promises: Record<string, Hex>[] }) => domain.promises);
    assert.equal(promises.length, 6);
    for (const { salt, cumulative, total, seq, signature, payer, content } of promises) {
      const args = claimArgs({
        signer,
        salt: toBytes(BigInt(salt), { size: 12 }),
        cumulative: BigInt(cumulative),
        total: BigInt(total),
        seq: BigInt(seq),
        signature: toBytes(signature),
      });
      assert.deepEqual(args, { payer, content, signature: { r: slice(signature, 0, 32), vs: slice(signature, 32) } });
    }
  });

  test("what is promised comes out of its word as it went in", () => {
    const most = { cumulative: 2n ** 96n - 1n, total: 2n ** 96n - 2n, seq: 2n ** 64n - 1n };
    for (const content of [most, { cumulative: 1n, total: 2n, seq: 3n }]) assert.deepEqual(unpackContent(packContent(content)), content);
  });
});

describe("chain/events: the newest block that counts", (test) => {
  test("is as deep as agreed, but never before the contract", () => {
    assert.equal(finalBlock(100n, { confirmations: 12, startBlock: 50 }), 88n);
    assert.equal(finalBlock(55n, { confirmations: 12, startBlock: 50 }), 50n);
    assert.equal(finalBlock(40n, { confirmations: 12, startBlock: 50 }), 40n);
    assert.equal(finalBlock(100n, { confirmations: 0, startBlock: 50 }), 100n);
  });
});
