import assert from "node:assert/strict";
import { type BlockRef, extendTrail, pollStep, type Trail } from "../../../src/chain/poller-step.ts";
import type { Hex } from "../../../src/lib/codec.ts";
import { describe } from "../../support/harness.ts";

const options = { startBlock: 100, maxBlocks: 50 };
const at = (number: number, branch = "a"): BlockRef => ({ number, hash: `0x${branch}${number}` as Hex });
const hashesOf = (trail: Trail, forkAbove: number, top: number) =>
  trail.map(({ number, hash }) => (number > top ? undefined : number > forkAbove ? (`0xb${number}` as Hex) : hash));

describe("chain/poller-step: what is read next", (test) => {
  test("a fresh poller begins at the contract's block, a bounded piece at a time", () => {
    assert.deepEqual(pollStep([], { head: at(500), hashes: [] }, options), {
      trail: [],
      rolledBackTo: undefined,
      read: { from: 100, to: 149 },
    });
    const trail = [at(149)];
    assert.deepEqual(pollStep(trail, { head: at(160), hashes: hashesOf(trail, 999, 160) }, options).read, { from: 150, to: 160 });
  });

  test("nothing is read at the head, nor before the contract is there", () => {
    const trail = [at(160)];
    assert.equal(pollStep(trail, { head: at(160), hashes: hashesOf(trail, 999, 160) }, options).read, undefined);
    assert.equal(pollStep([], { head: at(99), hashes: [] }, options).read, undefined);
  });
});

describe("chain/poller-step: reorgs", (test) => {
  const trail = [at(110), at(130), at(140), at(145)];

  test("goes back to the newest block that still stands and reads on from there", () => {
    const step = pollStep(trail, { head: at(150, "b"), hashes: hashesOf(trail, 135, 150) }, options);
    assert.deepEqual(step, { trail: [at(110), at(130)], rolledBackTo: 130, read: { from: 131, to: 150 } });
  });

  test("also when the new branch is shorter", () => {
    const step = pollStep(trail, { head: at(142, "b"), hashes: hashesOf(trail, 135, 142) }, options);
    assert.deepEqual(step, { trail: [at(110), at(130)], rolledBackTo: 130, read: { from: 131, to: 142 } });
  });

  test("begins anew when nothing stands", () => {
    const step = pollStep(trail, { head: at(150, "b"), hashes: hashesOf(trail, 0, 150) }, options);
    assert.deepEqual(step, { trail: [], rolledBackTo: 99, read: { from: 100, to: 149 } });
  });

  test("an RPC that lags behind is no reorg", () => {
    const step = pollStep(trail, { head: at(142), hashes: hashesOf(trail, 999, 142) }, options);
    assert.deepEqual(step, { trail, rolledBackTo: undefined, read: undefined });
  });
});

describe("chain/poller-step: the trail", (test) => {
  test("stays short, reaches far back and is dense near the head", () => {
    let trail: Trail = [];
    for (let number = 100; number <= 20_000; number += 1) trail = extendTrail(trail, at(number));
    assert.ok(trail.length <= 32, `${trail.length} blocks`);
    assert.deepEqual(trail.at(-1), at(20_000));
    assert.deepEqual(trail.at(-2), at(19_999));
    assert.deepEqual(trail[0], at(100));
    const back = trail.map(({ number }) => 20_000 - number).reverse();
    for (let i = 2; i < back.length; i += 1) assert.ok((back[i] ?? 0) <= 2 * (back[i - 1] ?? 0), `gap: ${back}`);
  });
});
