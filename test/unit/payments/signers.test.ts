import assert from "node:assert/strict";
import { createIdentity } from "../../../src/identity/identity.ts";
import { type Logger, silentLogger } from "../../../src/lib/ports.ts";
import { clearingDomain } from "../../../src/payments/eip712.ts";
import { type SignedPromise, signPromise } from "../../../src/payments/promise.ts";
import { createSigners, findSignersInline, inlineAtMost } from "../../../src/payments/signers.ts";
import { describe } from "../../support/harness.ts";
import { channel, domain } from "./fixtures.ts";

const payers = Array.from({ length: 5 }, (_, i) => createIdentity(new Uint8Array(32).fill(i + 60)));
const promises = (count: number): SignedPromise[] =>
  Array.from({ length: count }, (_, i) => {
    const promise = signPromise(domain, payers[i % payers.length] as (typeof payers)[0], {
      channel,
      cumulative: BigInt(i) << 70n,
      total: (1n << 96n) - 1n - BigInt(i),
      seq: (1n << 64n) - 1n - BigInt(i),
    });
    if (i % 7 === 3) return { ...promise, signature: promise.signature.subarray(1) };
    if (i % 7 === 5) return { ...promise, signature: new Uint8Array(64) };
    return promise;
  });
const expected = (count: number) =>
  Array.from({ length: count }, (_, i) => (i % 7 === 3 || i % 7 === 5 ? undefined : payers[i % payers.length]?.address));
const many = 8 * inlineAtMost + 1;

/** Counts what is logged as a warning. */
function warnings(): Logger & { count: number } {
  const log = {
    ...silentLogger,
    count: 0,
    warn: () => {
      log.count += 1;
    },
  };
  return log;
}
const dying = (program: string) => new URL(`data:text/javascript,${encodeURIComponent(program)}`);

describe("payments/signers: who signed", (test) => {
  test("a thread finds the same signers as the event loop, in order, and nobody for what is no signature", async () => {
    await using signers = createSigners(domain, silentLogger);
    for (const count of [0, 1, inlineAtMost, inlineAtMost + 1, many]) {
      assert.deepEqual(await signers.find(promises(count)), expected(count));
      assert.deepEqual(await findSignersInline(domain)(promises(count)), expected(count));
    }
    const together = await Promise.all([many, 3, 20].map((count) => signers.find(promises(count))));
    assert.deepEqual(together, [many, 3, 20].map(expected));
  });

  test("the network that it counts on is in what is signed: elsewhere the signers are others", async () => {
    await using signers = createSigners(clearingDomain({ ...domain, chainId: domain.chainId + 1 }), silentLogger);
    const found = await signers.find(promises(many));
    assert.ok(found.every((address, i) => address === undefined || address !== expected(many)[i]));
  });

  test("a burst leaves the event loop to others", async () => {
    await using signers = createSigners(domain, silentLogger);
    await signers.find(promises(many));
    const burst = promises(1_000);
    let turns = 0;
    let over = false;
    const turn = () => {
      turns += 1;
      if (!over) setImmediate(turn);
    };
    setImmediate(turn);
    await signers.find(burst);
    over = true;
    assert.ok(turns > burst.length / 2, `${turns} turns`);
  });

  for (const [how, program] of [
    ["does not start", "throw new Error('no')"],
    [
      "dies of its work",
      "import('node:worker_threads').then(({ parentPort }) => parentPort.on('message', () => { throw new Error('no') }))",
    ],
    ["ends", "import('node:worker_threads').then(({ parentPort }) => parentPort.on('message', () => process.exit(0)))"],
  ] as const)
    test(`where the thread ${how}, nothing is lost or taken for another's, and after some times it is left`, async () => {
      const log = warnings();
      await using signers = createSigners(domain, log, dying(program));
      for (let i = 0; i < 5; i += 1) assert.deepEqual(await signers.find(promises(many)), expected(many));
      assert.equal(log.count, 3);
    });

  test("what is under way at the end is found all the same", async () => {
    const log = warnings();
    const signers = createSigners(domain, log);
    const found = signers.find(promises(many));
    await signers.end();
    assert.deepEqual(await found, expected(many));
    assert.deepEqual(await signers.find(promises(many)), expected(many));
    assert.equal(log.count, 0);
  });

  test("a thread that was never ended keeps no process alive", async () => {
    // this file fails when its process lingers
    assert.deepEqual(await createSigners(domain, silentLogger).find(promises(many)), expected(many));
  });
});
