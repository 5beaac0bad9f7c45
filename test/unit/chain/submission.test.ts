import assert from "node:assert/strict";
import { createNonces } from "../../../src/chain/nonces.ts";
import { judge, readRefusal } from "../../../src/chain/submission.ts";
import { describe } from "../../support/harness.ts";

describe("chain/submission: what the chain says of a transaction", (test) => {
  const mined = { blockNumber: 100n, status: "success" } as const;

  test("it is final once as many blocks as agreed stand on it", () => {
    assert.equal(judge({ head: 100n, finalNonce: 8, receipt: mined }, 7, 0), "final");
    assert.equal(judge({ head: 102n, finalNonce: 7, receipt: mined }, 7, 3), "wait");
    assert.equal(judge({ head: 103n, finalNonce: 8, receipt: mined }, 7, 3), "final");
  });

  test("without a receipt it waits until another with its nonce is final", () => {
    assert.equal(judge({ head: 103n, finalNonce: 7, receipt: undefined }, 7, 3), "wait");
    assert.equal(judge({ head: 103n, finalNonce: 8, receipt: undefined }, 7, 3), "replaced");
  });

  test("a revert is judged when it is final, not before", () => {
    const reverted = { blockNumber: 100n, status: "reverted" } as const;
    assert.equal(judge({ head: 101n, finalNonce: 7, receipt: reverted }, 7, 3), "wait");
    assert.equal(judge({ head: 103n, finalNonce: 8, receipt: reverted }, 7, 3), "final");
  });
});

describe("chain/submission: what an RPC's refusal means", (test) => {
  const cases: [string, ReturnType<typeof readRefusal>][] = [
    ["already known", "there"],
    ["transaction already imported", "there"],
    ["nonce too low: next nonce 5, tx nonce 4", "there"],
    ["nonce is too low", "there"],
    ["insufficient funds for gas * price + value", "no-gas"],
    ["intrinsic gas too low", "never"],
    ["exceeds block gas limit", "never"],
    ["invalid sender", "never"],
    ["replacement transaction underpriced", "dear"],
    ["transaction underpriced", "dear"],
    ["max fee per gas less than block base fee", "dear"],
    ["txpool is full", "later"],
    ["Too Many Requests", "later"],
    ["something nobody has seen before", "later"],
  ];
  for (const [text, meaning] of cases) test(`${text}: ${meaning}`, () => assert.equal(readRefusal(text), meaning));
});

describe("chain/nonces", (test) => {
  test("hands out each number once while it is held", () => {
    const nonces = createNonces(() => 0, 1000);
    assert.deepEqual([nonces.take(5), nonces.take(5), nonces.take(5)], [5, 6, 7]);
    nonces.release(6);
    assert.equal(nonces.take(5), 6);
    assert.equal(nonces.take(9), 9);
  });

  test("fills a gap that was given back, but not one that is held", () => {
    const nonces = createNonces(() => 0, 1000);
    nonces.hold(6);
    assert.deepEqual([nonces.take(5), nonces.take(5)], [5, 7]);
  });

  test("gives up what was never released: later ones would wait for it for ever", () => {
    let nowMs = 0;
    const nonces = createNonces(() => nowMs, 1000);
    assert.equal(nonces.take(5), 5);
    nowMs = 999;
    assert.equal(nonces.take(5), 6);
    nowMs = 1000;
    assert.equal(nonces.take(5), 5);
  });
});
