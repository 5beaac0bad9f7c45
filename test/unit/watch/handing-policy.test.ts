import assert from "node:assert/strict";
import { fillSlots, isDue, noSlots, type WatchOffer } from "../../../src/watch/handing-policy.ts";
import { describe } from "../../support/harness.ts";

const offer = (peer: string, network: number | undefined, feeBps = 100): WatchOffer => ({
  ...{ peer, feeBps },
  addresses: network === undefined ? ["/ip4/127.0.0.1/tcp/1"] : [`/ip4/10.0.${network}.7/tcp/1`],
});
/** the same every time, spread evenly enough */
function seeded(seed: number) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

describe("watch/handing-policy: who watches", (test) => {
  test("who has a place keeps it; an empty one is filled, as long as there is somebody", () => {
    const offers = [offer("a", 1), offer("b", 2)];
    assert.deepEqual([...fillSlots(noSlots, offers, () => 0)], ["a", "b", undefined]);
    assert.deepEqual([...fillSlots([undefined, "a", undefined], offers, () => 0)], ["b", "a", undefined]);
    assert.deepEqual([...fillSlots(["x", "y", undefined], offers, () => 0.99)], ["x", "y", "b"]);
  });

  test("each is in a network of its own while there is one", () => {
    const sybils = Array.from({ length: 50 }, (_, i) => offer(`s${i}`, 9));
    for (let seed = 1; seed <= 50; seed += 1) {
      const chosen = fillSlots(noSlots, [...sybils, offer("a", 1), offer("b", 2)], seeded(seed));
      assert.ok(chosen.includes("a") && chosen.includes("b"), String(chosen));
    }
    assert.equal(new Set(fillSlots(noSlots, sybils, () => 0)).size, 3);
    const others = Array.from({ length: 9 }, (_, i) => offer(`o${i}`, i + 20));
    const random = seeded(3);
    let taken = 0;
    for (let run = 0; run < 1_000; run += 1)
      if (fillSlots(["x", "y", undefined], [...sybils, ...others], random)[2]?.startsWith("s")) taken += 1;
    assert.ok(taken < 200, `50 peers in one of ten networks are chosen ${taken} times in 1,000`);
    assert.equal(new Set(fillSlots(noSlots, [offer("a", undefined), offer("b", undefined)], () => 0)).size, 3);
  });

  test("half of all watchers, in networks of their own and at any price, hold all three places about once in eight times", () => {
    const offers = Array.from({ length: 100 }, (_, i) => offer(`${i < 50 ? "liar" : "honest"}${i}`, i, i < 50 ? 1 : 200));
    const random = seeded(7);
    const runs = 1_000;
    let all = 0;
    for (let run = 0; run < runs; run += 1) if (fillSlots(noSlots, offers, random).every((peer) => peer?.startsWith("liar"))) all += 1;
    assert.ok(Math.abs(all / runs - 1 / 8) < 0.03, `${all} of ${runs}`);
  });
});

describe("watch/handing-policy: what is handed over", (test) => {
  const lifeMs = 30 * 86_400_000;
  const nowMs = 1_700_000_000_000;
  const terms = { feeBps: 200, gas: 10n, nowMs, lifeMs };
  const fresh = nowMs + lifeMs;

  test("once the fee on it would pay for a transaction: at 2 %, fifty times the gas", () => {
    const one = { paid: 0n, kept: 0n, keptUntilMs: 0 };
    assert.equal(isDue({ ...one, cumulative: 499n }, terms), false);
    assert.equal(isDue({ ...one, cumulative: 500n }, terms), true);
    assert.equal(isDue({ ...one, cumulative: 1_499n, paid: 1_000n }, terms), false);
    assert.equal(isDue({ ...one, cumulative: 1_500n, paid: 1_000n }, terms), true);
  });

  test("again when as much has been added, whatever was paid meanwhile; where gas is free, when anything was", () => {
    const one = { paid: 0n, kept: 1_000n, keptUntilMs: fresh };
    assert.equal(isDue({ ...one, cumulative: 1_499n }, terms), false);
    assert.equal(isDue({ ...one, cumulative: 1_500n }, terms), true);
    assert.equal(isDue({ ...one, cumulative: 1_800n, paid: 1_400n }, terms), false);
    assert.equal(isDue({ ...one, cumulative: 1_000n }, { ...terms, gas: 0n }), false);
    assert.equal(isDue({ ...one, cumulative: 1_001n }, { ...terms, gas: 0n }), true);
  });

  test("again when half of its check's life is over, as long as there is anything to clear", () => {
    const one = { cumulative: 1_000n, paid: 0n, kept: 1_000n };
    assert.equal(isDue({ ...one, keptUntilMs: nowMs + lifeMs / 2 }, terms), false);
    assert.equal(isDue({ ...one, keptUntilMs: nowMs + lifeMs / 2 - 1 }, terms), true);
    assert.equal(isDue({ ...one, keptUntilMs: nowMs - 1 }, terms), true);
    assert.equal(isDue({ ...one, paid: 1_000n, keptUntilMs: nowMs - 1 }, { ...terms, gas: 0n }), false);
  });

  test("whoever asks for nothing is handed anything", () => {
    const one = { paid: 0n, kept: 0n, keptUntilMs: 0 };
    assert.equal(isDue({ ...one, cumulative: 1n }, { ...terms, feeBps: 0 }), true);
    assert.equal(isDue({ ...one, cumulative: 0n }, { ...terms, feeBps: 0, gas: 0n }), false);
  });
});
