import assert from "node:assert/strict";
import fc from "fast-check";
import type { Hex } from "../../../src/lib/codec.ts";
import {
  coldStart,
  evidenceOf,
  flowsOf,
  mostGossip,
  type Own,
  qualityOf,
  type Rating,
  type Ratings,
  referenceFlow,
  scoreOf,
  weightedMedian,
  weightsOf,
} from "../../../src/reputation/score.ts";
import { describe } from "../../support/harness.ts";

const payer = (number: number): Hex => `0x${number.toString(16).padStart(40, "a")}`;
const exit = (number: number): Hex => `0x${number.toString(16).padStart(40, "e")}`;
const me = payer(0);

const ratingsOf = (all: readonly Rating[]): Ratings => ({
  of: (provider) => all.filter((one) => one.provider === provider),
  by: (of) => all.filter((one) => one.payer === of),
});
const rating = (by: number, of: number, volume: number, ok = 1, fail = 0): Rating => ({
  payer: payer(by),
  provider: exit(of),
  volume,
  ok,
  fail,
});
const own = (of: number, volume: number, ok = 1, fail = 0): Own => ({ provider: exit(of), volume, ok, fail });

/** A small market: payers 1 to 6, exits 1 to 5. */
const deals = fc.uniqueArray(
  fc.record({
    by: fc.integer({ min: 1, max: 6 }),
    of: fc.integer({ min: 1, max: 5 }),
    volume: fc.integer({ min: 1, max: 1_000 }),
    ok: fc.nat(20),
    fail: fc.nat(20),
  }),
  { selector: ({ by, of }) => `${by}/${of}`, maxLength: 25 },
);
const dealings = fc.uniqueArray(fc.record({ of: fc.integer({ min: 1, max: 5 }), volume: fc.integer({ min: 0, max: 1_000 }) }), {
  selector: ({ of }) => of,
  minLength: 1,
});
const close = (a: number, b: number) => assert.ok(Math.abs(a - b) < 1e-9, `${a} is not ${b}`);

describe("reputation/score: what flows", (test) => {
  test("exactly as the formula has it, by hand", () => {
    // V_i = 4: 3 to exit 1, 1 to exit 2. Exit 1 takes 3 + 6 + 3, exit 2 takes 1 + 1. Payer 1 spends 6 + 6, payer 2 spends 3 + 1.
    const ratings = ratingsOf([rating(1, 1, 6), rating(1, 3, 6), rating(2, 1, 3), rating(2, 2, 1)]);
    const flows = flowsOf(me, [own(1, 3), own(2, 1)], ratings);
    const one = (3 / 4) * (6 / 12);
    const two = (3 / 4) * (3 / 12) + (1 / 4) * (1 / 2);
    close(flows.to(exit(3)), one / 2);
    close(flows.to(exit(1)), one / 2 + (two * 3) / 4);
    close(flows.to(exit(2)), two / 4);
    assert.equal(flows.to(exit(4)), 0);
    close(flows.reference, one / 2);
  });

  test("never more than all of it, and our own word to others does not come back to us", () => {
    fc.assert(
      fc.property(deals, dealings, (market, mine) => {
        const all = market.map(({ by, of, volume }) => rating(by, of, volume));
        const ours = mine.map(({ of, volume }) => own(of, volume));
        const flows = flowsOf(me, ours, ratingsOf(all));
        const total = [1, 2, 3, 4, 5].reduce((sum, of) => sum + flows.to(exit(of)), 0);
        assert.ok(total <= 1 + 1e-9, `${total}`);
        const told = [
          ...all,
          ...mine.filter(({ volume }) => volume > 0).map(({ of, volume }) => ({ ...rating(0, of, volume), payer: me })),
        ];
        for (const at of [1, 2, 3, 4, 5]) close(flowsOf(me, ours, ratingsOf(told)).to(exit(at)), flows.to(exit(at)));
      }),
      { numRuns: 200 },
    );
  });

  test("whoever deals with strangers only gains exactly nothing, however much", () => {
    fc.assert(
      fc.property(deals, dealings, fc.integer({ min: 1, max: 1e9 }), (market, mine, volume) => {
        const honest = market.map(({ by, of, volume }) => rating(by, of, volume));
        const washed = Array.from({ length: 12 }, (_, index) => rating(100 + index, 100, volume, 1_000));
        const ours = mine.map(({ of, volume }) => own(of, volume));
        const [before, after] = [flowsOf(me, ours, ratingsOf(honest)), flowsOf(me, ours, ratingsOf([...honest, ...washed]))];
        assert.equal(after.to(exit(100)), 0);
        assert.equal(weightsOf(exit(100), after).size, 0);
        for (const at of [1, 2, 3, 4, 5]) assert.equal(after.to(exit(at)), before.to(exit(at)));
      }),
      { numRuns: 100 },
    );
  });

  test("three steps, not five: a payer that we meet only by another's exit has no say", () => {
    const flows = flowsOf(me, [own(1, 1)], ratingsOf([rating(1, 1, 1), rating(1, 2, 1), rating(2, 2, 1), rating(2, 3, 1)]));
    assert.ok(flows.to(exit(2)) > 0);
    assert.equal(flows.to(exit(3)), 0);
    assert.deepEqual([...flows.through(exit(2)).keys()], [payer(1)]);
  });

  test("what is established is what carries half of the flow; next to nothing, ever so often, moves it little", () => {
    assert.equal(referenceFlow([1, 1, 1, 1]), 1);
    assert.equal(referenceFlow([8, 1, 1, 1]), 8);
    assert.equal(referenceFlow([2, 2, 2, ...new Array<number>(5_000).fill(1e-6)]), 2);
    assert.equal(referenceFlow([]), 0);
  });
});

describe("reputation/score: what a word weighs", (test) => {
  test("all together 20 at most, one rater a tenth of it, and less for an exit that is less than established", () => {
    fc.assert(
      fc.property(deals, dealings, (market, mine) => {
        const ratings = ratingsOf(market.map(({ by, of, volume }) => rating(by, of, volume)));
        const flows = flowsOf(
          me,
          mine.map(({ of, volume }) => own(of, volume)),
          ratings,
        );
        for (const at of [1, 2, 3, 4, 5]) {
          const weights = [...weightsOf(exit(at), flows).values()];
          const mass = flows.reference > 0 ? Math.min(mostGossip, (mostGossip * flows.to(exit(at))) / flows.reference) : 0;
          assert.ok(weights.reduce((a, b) => a + b, 0) <= mass + 1e-9);
          for (const weight of weights) assert.ok(weight <= mass / 10 + 1e-9 && weight >= 0);
        }
      }),
      { numRuns: 200 },
    );
  });

  test("over twenty own sessions outweigh whatever others say", () => {
    const weights = new Map(Array.from({ length: 40 }, (_, index) => [payer(index), 0.5] as const));
    const liars = Array.from({ length: 40 }, (_, index) => rating(index, 1, 1, 0, 100));
    const { ok, fail } = evidenceOf({ ok: 21, fail: 0 }, weights, liars);
    assert.deepEqual([ok, fail], [21, 20]);
    assert.ok(ok > fail);
  });

  test("a rater's sessions are shares of its weight, not votes: many count no more than one", () => {
    const weights = new Map([[payer(1), 2]]);
    assert.deepEqual(evidenceOf(undefined, weights, [rating(1, 1, 1, 300, 100)]), { ok: 1.5, fail: 0.5 });
    assert.deepEqual(evidenceOf(undefined, weights, [rating(1, 1, 1, 0, 0), rating(2, 1, 1, 9, 9)]), { ok: 0, fail: 0 });
  });
});

describe("reputation/score: the score", (test) => {
  const amount = fc.double({ min: 0, max: 100, noNaN: true });
  const share = fc.double({ min: 0, max: 1, noNaN: true });

  test("is from 0 to 1, rises with what speaks for an exit and with stake, falls with what speaks against it", () => {
    fc.assert(
      fc.property(amount, amount, share, fc.double({ min: 0.01, max: 10, noNaN: true }), (ok, fail, cold, more) => {
        const score = scoreOf({ ok, fail }, cold);
        assert.ok(score >= 0 && score <= 1, `${score}`);
        assert.ok(scoreOf({ ok: ok + more, fail }, cold) >= score - 1e-12);
        assert.ok(scoreOf({ ok, fail: fail + more }, cold) <= score + 1e-12);
        assert.ok(scoreOf({ ok, fail }, Math.min(1, cold + more)) >= score - 1e-12);
      }),
      { numRuns: 500 },
    );
  });

  test("without evidence and stake it is exactly 0; stake alone gives what one would guess, no more", () => {
    assert.equal(scoreOf({ ok: 0, fail: 0 }, 0), 0);
    assert.equal(scoreOf({ ok: 0, fail: 50 }, 0), 0);
    assert.equal(scoreOf({ ok: 0, fail: 0 }, 1), qualityOf({ ok: 0, fail: 0 }));
    assert.ok(qualityOf({ ok: 0, fail: 0 }) < 0.22);
    assert.ok(scoreOf({ ok: 20, fail: 0 }, 0) > 0.85);
  });

  test("stake makes up for age and age for stake, up to all of it", () => {
    const full = 100n;
    assert.deepEqual([coldStart(0n, full), coldStart(50n, full), coldStart(100n, full), coldStart(10_000n, full)], [0, 0.5, 1, 1]);
    assert.equal(coldStart(5n, 0n), 0);
  });

  test("a weighted median is not moved by who weighs less than the rest, whatever it says", () => {
    const values = [30, 31, 32].map((value) => ({ value, weight: 1 }));
    assert.equal(weightedMedian(values), 31);
    fc.assert(
      fc.property(fc.double({ noNaN: true }), fc.double({ min: 0, max: 0.99, noNaN: true }), (value, weight) => {
        const median = weightedMedian([...values, { value, weight }]) ?? Number.NaN;
        assert.ok(median >= 30 && median <= 32);
      }),
    );
    assert.equal(weightedMedian([]), undefined);
    assert.equal(weightedMedian([{ value: 5, weight: 0 }]), undefined);
  });
});
