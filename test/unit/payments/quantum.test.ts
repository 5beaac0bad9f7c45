import assert from "node:assert/strict";
import fc from "fast-check";
import { acknowledged, counted, type Line, lineBytes, unknownLine } from "../../../src/payments/line.ts";
import {
  creditOf,
  QUANTUM_BYTES,
  QUANTUM_MAX_BYTES,
  QUANTUM_MS,
  quantumBound,
  quantumBytes,
  quantumLimit,
  quantumMoney,
  quantumMost,
  quantumWithin,
} from "../../../src/payments/quantum.ts";
import { due, type Usage } from "../../../src/payments/terms.ts";
import { describe } from "../../support/harness.ts";

const mega = 1_000_000n;
const line = (perSecond: bigint, rttMs: number): Line => ({ ...unknownLine, perSecond, rttMs });
const price = fc.oneof(fc.bigInt({ min: 0n, max: 10n ** 18n }), fc.bigInt({ min: 0n, max: 10n }));
const amounts = fc.record({ perHour: price, perGiB: price });
const usage = fc.record({ bytes: fc.bigInt({ min: 0n, max: 1n << 34n }), ms: fc.integer({ min: 0, max: 100_000_000 }) });
const anyLine = fc.record({ perSecond: fc.bigInt({ min: 0n, max: 1n << 34n }), rttMs: fc.integer({ min: 0, max: 500 }) });
const plus = (a: Usage, b: Usage): Usage => ({ bytes: a.bytes + b.bytes, ms: a.ms + b.ms });

describe("payments/quantum", (test) => {
  test("a MiB at first, then what was served, up to what the line carries in 1.2 s and two round trips, and no further than its limit", () => {
    const fast = line(100n * mega, 20);
    const at = (served: bigint, on = fast, most = QUANTUM_MAX_BYTES) => quantumBytes(served, on, most);
    assert.equal(at(0n), QUANTUM_BYTES);
    assert.equal(at(QUANTUM_BYTES), QUANTUM_BYTES);
    assert.equal(at(7n * QUANTUM_BYTES), 7n * QUANTUM_BYTES);
    assert.equal(at(1n << 40n), (100n * mega * 1_240n) / 1_000n);
    assert.equal(at(1n << 40n, line(10n ** 12n, 20)), QUANTUM_MAX_BYTES);
    assert.equal(at(1n << 40n, unknownLine), QUANTUM_BYTES);
    assert.equal(at(1n << 40n, fast, 5n), 5n);
  });

  test("never costs more than quantumMoney, nor more than the terms say, wherever it begins", () => {
    fc.assert(
      fc.property(amounts, usage, anyLine, fc.bigInt({ min: 0n, max: 10n ** 18n }), (prices, used, on, budget) => {
        const terms = { ...prices, quantum: quantumLimit(prices, budget) };
        const ahead = { bytes: quantumBytes(used.bytes, { ...unknownLine, ...on }, quantumMost(terms)), ms: QUANTUM_MS };
        assert.ok(ahead.bytes <= quantumBound(used.bytes));
        const cost = due(prices, plus(used, ahead)) - due(prices, used);
        assert.ok(cost <= quantumMoney(prices, used.bytes));
        assert.ok(cost <= terms.quantum);
      }),
      { numRuns: 1_000 },
    );
  });

  test("the terms leave room for the first quantum, for as much as 128 MiB, and for no more than a sixteenth of the budget", () => {
    const prices = { perHour: 10n ** 16n, perGiB: 10n ** 17n };
    assert.equal(quantumLimit(prices, 1n), quantumMoney(prices, 0n));
    assert.equal(quantumLimit(prices, 1n << 90n), quantumMoney(prices, QUANTUM_MAX_BYTES));
    assert.equal(quantumLimit(prices, 10n ** 17n), 10n ** 17n / 16n);
    for (const budget of [1n, 10n ** 17n, 1n << 90n]) {
      const terms = { ...prices, quantum: quantumLimit(prices, budget) };
      assert.ok(quantumMost(terms) >= QUANTUM_BYTES && quantumMost(terms) <= QUANTUM_MAX_BYTES);
    }
    assert.equal(quantumMost({ ...prices, quantum: 0n }), 0n);
    assert.equal(quantumMost({ perHour: 5n, perGiB: 0n, quantum: 2n }), QUANTUM_MAX_BYTES);
  });
});

describe("payments/quantum: within what an exit takes at once", (test) => {
  test("half of what may go unseen: bond / (16 N) at first, bond / (32 k^2) later", () => {
    assert.deepEqual(creditOf(3_200n, { exits: 10, channels: 2 }), { first: 20n, later: 25n });
    assert.deepEqual(creditOf(3_200n, { exits: 0, channels: 0 }), { first: 200n, later: 100n });
  });

  test("costs no more, with bytes and time by the same part; but for the least that is worth a purchase", () => {
    const whole = { bytes: QUANTUM_BYTES, ms: QUANTUM_MS };
    fc.assert(
      fc.property(amounts, fc.bigInt({ min: 0n, max: 10n ** 17n }), (prices, most) => {
        const part = quantumWithin(prices, whole, most);
        const isLeast = part.bytes === QUANTUM_BYTES / 64n || part.ms === 100;
        assert.ok(due(prices, part) <= most || isLeast);
        assert.ok(part.bytes <= whole.bytes && part.ms <= whole.ms);
        if (due(prices, whole) <= most) assert.deepEqual(part, whole);
        else if (!isLeast) assert.ok(Math.abs(Number(part.bytes) / Number(whole.bytes) - part.ms / whole.ms) < 0.001);
      }),
      { numRuns: 1_000 },
    );
    assert.deepEqual(quantumWithin({ perHour: 0n, perGiB: 1n << 30n }, whole, 0n), { bytes: QUANTUM_BYTES / 64n, ms: 100 });
  });
});

describe("payments/line", (test) => {
  test("takes the highest rate of late, over windows of 100 ms; one that is reached no more fades", () => {
    let seen = counted(unknownLine, 99, 5_000n);
    assert.equal(seen.perSecond, 0n);
    seen = counted(seen, 100, 10_000n);
    assert.equal(seen.perSecond, 100_000n);
    seen = counted(seen, 200, 10_500n);
    assert.equal(seen.perSecond, 95_000n);
    assert.equal(counted(seen, 2_300, 10_500n).perSecond, 0n);
    assert.equal(counted(seen, 400, 210_500n).perSecond, 1_000_000n);
  });

  test("smooths the round trip, and takes a slow decision for no long line", () => {
    const once = acknowledged(unknownLine, 80);
    assert.equal(once.rttMs, 80);
    assert.equal(acknowledged(once, 160).rttMs, 90);
    assert.equal(acknowledged(unknownLine, 9_000).rttMs, 500);
    assert.equal(lineBytes({ ...once, perSecond: 1_000n }), 1_360n);
  });
});
