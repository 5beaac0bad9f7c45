import assert from "node:assert/strict";
import fc from "fast-check";
import { larger } from "../../../src/lib/bigint.ts";
import { GiB, hourMs } from "../../../src/lib/units.ts";
import { cumulativeFor, type MeterInput, nextPurchase } from "../../../src/payments/meter.ts";
import { QUANTUM_BYTES, QUANTUM_MS } from "../../../src/payments/quantum.ts";
import { due, type Usage } from "../../../src/payments/terms.ts";
import { describe } from "../../support/harness.ts";

const prices = { perHour: 10n ** 16n, perGiB: 10n ** 17n };
const none: Usage = { bytes: 0n, ms: 0 };
const one: Usage = { bytes: QUANTUM_BYTES, ms: QUANTUM_MS };
const input = (changes: Partial<MeterInput> = {}): MeterInput => ({
  terms: prices,
  bought: none,
  used: none,
  invoice: none,
  budget: 10n ** 18n,
  carriedIn: 0n,
  quantum: one,
  ...changes,
});
const usage = fc.record({ bytes: fc.bigInt({ min: 0n, max: 1n << 34n }), ms: fc.integer({ min: 0, max: 100_000_000 }) });
const price = fc.oneof(fc.bigInt({ min: 0n, max: 10n ** 18n }), fc.bigInt({ min: 0n, max: 10n }));
const amounts = fc.record({ perHour: price, perGiB: price });
const plus = (a: Usage, b: Usage): Usage => ({ bytes: a.bytes + b.bytes, ms: a.ms + b.ms });

describe("payments/meter: due", (test) => {
  test("is floor per time plus floor per byte", () => {
    assert.equal(due({ perHour: 3_600_000n, perGiB: 0n }, { bytes: 5n, ms: 7 }), 7n);
    assert.equal(due({ perHour: 0n, perGiB: GiB }, { bytes: 5n, ms: 7 }), 5n);
    assert.equal(due({ perHour: BigInt(hourMs) - 1n, perGiB: GiB - 1n }, { bytes: 1n, ms: 1 }), 0n);
    assert.equal(due(prices, { bytes: GiB, ms: hourMs }), prices.perHour + prices.perGiB);
  });

  test("cumulative rises by what is due beyond what was carried in", () => {
    const start = { cumulative: 100n, carriedIn: 30n };
    const perByte = { perHour: 0n, perGiB: GiB };
    assert.equal(cumulativeFor(perByte, { bytes: 0n, ms: 0 }, start), 100n);
    assert.equal(cumulativeFor(perByte, { bytes: 30n, ms: 0 }, start), 100n);
    assert.equal(cumulativeFor(perByte, { bytes: 31n, ms: 0 }, start), 101n);
  });
});

describe("payments/meter: what to buy next", (test) => {
  test("one quantum at first, then nothing until half of the bytes or of the time is used", () => {
    assert.deepEqual(nextPurchase(input()), { buy: one, exhausted: false, overcharged: false });
    const at = (used: Usage) => nextPurchase(input({ bought: one, used })).buy;
    assert.equal(at({ bytes: QUANTUM_BYTES / 2n, ms: QUANTUM_MS / 2 }), undefined);
    assert.deepEqual(at({ bytes: QUANTUM_BYTES / 2n + 1n, ms: 0 }), { bytes: QUANTUM_BYTES / 2n + 1n + QUANTUM_BYTES, ms: QUANTUM_MS });
    assert.deepEqual(at({ bytes: 10n, ms: QUANTUM_MS / 2 + 1 }), { bytes: QUANTUM_BYTES + 10n, ms: QUANTUM_MS / 2 + 1 + QUANTUM_MS });
  });

  test("the provider's count says when, our own says how much", () => {
    const bought = one;
    const invoice = { bytes: QUANTUM_BYTES, ms: 100 };
    assert.deepEqual(nextPurchase(input({ bought, used: { bytes: 5n, ms: 100 }, invoice })).buy, {
      bytes: QUANTUM_BYTES + 5n,
      ms: QUANTUM_MS + 100,
    });
  });

  test("a provider that counts over a quantum more than we do gets nothing more", () => {
    const used = { bytes: 1_000n, ms: 1_000 };
    const bought = plus(used, one);
    // what was bought in a larger quantum may still be under way
    const shrunk = { used, bought, invoice: bought, quantum: { bytes: QUANTUM_BYTES / 2n, ms: QUANTUM_MS } };
    assert.equal(nextPurchase(input(shrunk)).overcharged, false);
    const exactly = plus(used, one);
    assert.equal(nextPurchase(input({ used, bought, invoice: exactly })).overcharged, false);
    for (const invoice of [plus(exactly, { bytes: 1n, ms: 0 }), plus(exactly, { bytes: 0n, ms: 1 })])
      assert.deepEqual(nextPurchase(input({ used, bought, invoice })), { buy: undefined, exhausted: false, overcharged: true });
  });

  test("never over the budget, never over one quantum ahead, never less than before; and exhausted only when no more can be had", () => {
    const inputs = fc.record({
      terms: amounts,
      ahead: fc.record({ bytes: fc.bigInt({ min: 0n, max: QUANTUM_BYTES }), ms: fc.integer({ min: 0, max: QUANTUM_MS }) }),
      used: usage,
      spare: fc.oneof(fc.bigInt({ min: 0n, max: 10n ** 15n }), fc.bigInt({ min: 0n, max: 5n })),
      carriedIn: fc.bigInt({ min: 0n, max: 10n ** 15n }),
      quantum: fc.record({
        bytes: fc.bigInt({ min: 16n, max: 200n * QUANTUM_BYTES }),
        ms: fc.integer({ min: 100, max: QUANTUM_MS }),
      }),
    });
    fc.assert(
      fc.property(inputs, ({ terms, ahead, used, spare, carriedIn, quantum }) => {
        const bought = plus(used, ahead);
        const money = due(terms, bought) + spare;
        const budget = money > carriedIn ? money - carriedIn : 0n;
        const { buy, exhausted } = nextPurchase({ terms, bought, used, invoice: none, budget, carriedIn, quantum });
        const after = buy ?? bought;
        if (buy) {
          assert.ok(due(terms, buy) <= budget + carriedIn);
          assert.ok(buy.bytes >= bought.bytes && buy.ms >= bought.ms);
          assert.ok(buy.bytes <= larger(bought.bytes, used.bytes + quantum.bytes) && buy.ms <= Math.max(bought.ms, used.ms + quantum.ms));
          assert.notDeepEqual(buy, bought);
        }
        if (exhausted) {
          const missing = after.bytes <= used.bytes ? { bytes: 1n, ms: 0 } : { bytes: 0n, ms: 1 };
          assert.ok(due(terms, plus(after, missing)) > budget + carriedIn);
        } else assert.ok(after.bytes > used.bytes && after.ms > used.ms, "neither served on nor said to be over");
      }),
      { numRuns: 300 },
    );
  });

  test("a session that uses what it buys spends its budget to less than one byte's worth, and ends", () => {
    const terms = { perHour: 0n, perGiB: GiB * 7n };
    const budget = 3n * QUANTUM_BYTES * 7n + 1_000n;
    let bought = none;
    let used = none;
    for (let step = 0; ; step += 1) {
      assert.ok(step < 100);
      const { buy, exhausted } = nextPurchase(input({ terms, bought, used, budget }));
      bought = buy ?? bought;
      if (exhausted) break;
      const room = bought.bytes - used.bytes;
      used = { bytes: used.bytes + (room > 300_000n ? 300_000n : room), ms: used.ms + 50 };
    }
    assert.ok(budget - due(terms, bought) < 7n);
  });
});
