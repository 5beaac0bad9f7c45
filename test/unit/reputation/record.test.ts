import assert from "node:assert/strict";
import { encode } from "cborg";
import fc from "fast-check";
import { isMystError } from "../../../src/lib/errors.ts";
import {
  checkPayer,
  encodeFork,
  encodePair,
  maxForkBytes,
  maxPairBytes,
  type PairRecord,
  readFork,
  readPair,
} from "../../../src/reputation/record.ts";
import { describe } from "../../support/harness.ts";
import { alice, bob, exit, market, recordOf, saltOf, signedBy } from "./fixtures.ts";

const malformed = (error: unknown) => isMystError(error, "MALFORMED");
const full: Partial<PairRecord> = {
  ...{ seq: Number.MAX_SAFE_INTEGER, settled: 2n ** 96n - 1n, epoch: 65_535, sessions: 65_535, fails: 65_535, flags: 255 },
  salts: Array.from({ length: 8 }, (_, index) => saltOf(index)),
  ...{ mbpsP50: 65_535, rttP50: 65_535, egressCountry: "US", egressAsn: 4_294_967_295 },
};

describe("reputation/record", (test) => {
  test("what was signed is read again, and its payer is proven; the largest there can be fits", () => {
    for (const change of [{}, full]) {
      const signed = signedBy(alice, change);
      const bytes = encodePair(signed);
      assert.ok(bytes.length <= maxPairBytes, `${bytes.length} bytes`);
      const read = readPair(bytes);
      assert.deepEqual(read.record, recordOf(alice, change));
      checkPayer(read, market);
    }
  });

  test("another payer's, another network's or a changed record is not proven", () => {
    const signed = signedBy(alice);
    for (const [other, network] of [
      [{ ...signed, signature: signedBy(bob).signature }, market],
      [signed, { ...market, chainId: 1 }],
      [{ ...signed, body: signedBy(alice, { fails: 0 }).body }, market],
    ] as const)
      assert.throws(
        () => checkPayer(readPair(encodePair(other)), network),
        (error) => isMystError(error, "BAD_SIGNATURE"),
      );
  });

  for (const [what, change] of Object.entries({
    "more failures than sessions": { fails: 5 },
    "no money": { settled: 0n },
    "no channel": { salts: [] },
    "a channel twice": { salts: [saltOf(1), saltOf(1)] },
    "nine channels": { salts: Array.from({ length: 9 }, (_, index) => saltOf(index)) },
    "an exit that pays itself": { provider: alice.address },
    "a country that is none": { egressCountry: "XX" },
    "a number that is not whole": { sessions: 4.5 },
  } satisfies Record<string, Partial<PairRecord>>))
    test(`no record: ${what}`, () => {
      assert.throws(() => signedBy(alice, change), malformed);
    });

  test("one content has one encoding; unknown members and other orders are none", () => {
    const { body, signature } = signedBy(alice);
    const reordered = encode({ flags: 0, ...Object.fromEntries([]), payer: new Uint8Array(20) });
    for (const other of [Uint8Array.from([...body, 0]), body.subarray(1), reordered])
      assert.throws(() => readPair(encode({ body: other, signature })), malformed);
    assert.throws(() => readPair(encode({ body, signature, more: 1 })), malformed);
    assert.throws(() => readPair(new Uint8Array(maxPairBytes + 1)), malformed);
  });

  test("a fork is two contents under one number; anything else is none", () => {
    const [a, b] = [signedBy(alice), signedBy(alice, { fails: 0 })];
    const bytes = encodeFork({ a, b });
    assert.ok(encodeFork({ a: signedBy(alice, full), b: signedBy(alice, { ...full, fails: 0 }) }).length <= maxForkBytes);
    assert.deepEqual(readFork(bytes).b.record.fails, 0);
    for (const other of [a, signedBy(alice, { seq: 2, fails: 0 }), signedBy(alice, { provider: exit(2) }), signedBy(bob, { fails: 0 })])
      assert.throws(() => readFork(encodeFork({ a, b: other })), malformed);
  });

  test("whatever bytes come, they are a record or MALFORMED", () => {
    const good = encodePair(signedBy(alice));
    const fork = encodeFork({ a: signedBy(alice), b: signedBy(alice, { fails: 0 }) });
    const cut = fc.tuple(fc.constantFrom(good, fork), fc.nat(400), fc.nat(255)).map(([bytes, at, value]) => {
      const changed = Uint8Array.from(bytes);
      changed[at % changed.length] = value;
      return changed;
    });
    fc.assert(
      fc.property(fc.oneof(cut, fc.uint8Array({ maxLength: 900 })), (bytes) => {
        for (const read of [readPair, readFork])
          try {
            read(bytes);
          } catch (error) {
            assert.ok(malformed(error), String(error));
          }
      }),
      { numRuns: 300 },
    );
  });
});
