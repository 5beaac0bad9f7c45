import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type ClearingCosts,
  chooseBatch,
  clearingThreshold,
  closeDeadlineMs,
  closeDelayMs,
  isDust,
  meanLossMs,
  mostFor,
  type Owed,
} from "../../../src/payments/clearing-policy.ts";
import { describe } from "../../support/harness.ts";

const hourMs = 3_600_000;
const myst = 10n ** 18n;
const owed = (key: string, unsettled: bigint, changes: Partial<Owed> = {}): Owed => ({
  ...{ key, unsettled, earning: undefined, cause: "due", exposed: false },
  ...changes,
});
const busy = { earned: 10n ** 30n, elapsedMs: 1 };

describe("payments/clearing-policy: from which amount on", (test) => {
  const gas = 2n * 10n ** 14n;
  const earning = { earned: myst / 10n, elapsedMs: hourMs };

  test("at u* gas and risk together cost the least", () => {
    const best = clearingThreshold(gas, earning, 1_000n * myst);
    assert.ok(best > (myst * 169n) / 1000n && best < (myst * 170n) / 1000n, `${best}`);
    // per ms: gas is paid r/u times, and on average u/2 is at stake
    const rate = Number(earning.earned) / earning.elapsedMs;
    const cost = (u: number) => (Number(gas) * rate) / u + u / 2 / meanLossMs;
    const at = Number(best);
    for (const other of [0.5, 0.9, 1.1, 2]) assert.ok(cost(at) < cost(at * other), `${other}`);
  });

  test("never under 20 times its gas, and else at the operator's amount at the latest", () => {
    const amounts = fc.bigInt({ min: 0n, max: 10n ** 24n });
    const rates = fc.option(fc.record({ earned: amounts, elapsedMs: fc.integer({ min: 0, max: 10 ** 9 }) }), { nil: undefined });
    fc.assert(
      fc.property(amounts, rates, amounts, (g, rate, settleAt) => {
        const threshold = clearingThreshold(g, rate, settleAt);
        assert.ok(threshold >= 20n * g);
        assert.ok(threshold <= (20n * g > settleAt ? 20n * g : settleAt) || !rate);
      }),
    );
  });

  test("what is not in use is cleared once it is worth it; where gas is free at once, and in use at the operator's amount", () => {
    assert.equal(clearingThreshold(7n, undefined, 1_000n), 140n);
    assert.equal(clearingThreshold(0n, undefined, 1_000n), 0n);
    assert.equal(clearingThreshold(0n, earning, 1_000n), 1_000n);
  });
});

describe("payments/clearing-policy: what goes into one transaction", (test) => {
  const costs: ClearingCosts = { first: 60n, next: 20n };

  test("nothing for which no channel is worth it; then all that are worth a further claim", () => {
    const small = [owed("a", 399n), owed("b", 400n), owed("c", 401n)];
    assert.deepEqual(chooseBatch(small, costs, 0n), []);
    assert.deepEqual(chooseBatch([...small, owed("d", 1_200n)], costs, 0n), ["b", "c", "d"]);
  });

  test("many small ones make a batch of their own, those in use do not count towards it", () => {
    const three = [owed("a", 700n), owed("b", 700n), owed("c", 600n)];
    assert.deepEqual(chooseBatch(three, costs, 0n), ["a", "b", "c"]);
    assert.deepEqual(chooseBatch(three.slice(0, 2), costs, 0n), []);
    assert.deepEqual(chooseBatch([...three.slice(0, 2), owed("c", 600n, { earning: busy })], costs, 0n), []);
  });

  test("a payer over a quarter of its bond is cleared at 5 %, one in use else at the operator's amount", () => {
    const used = owed("a", 1_200n, { earning: busy });
    assert.deepEqual(chooseBatch([used], costs, 5_000n), []);
    assert.deepEqual(chooseBatch([{ ...used, exposed: true }], costs, 5_000n), ["a"]);
    assert.deepEqual(chooseBatch([{ ...used, exposed: true, unsettled: 1_199n }], costs, 5_000n), []);
    assert.deepEqual(chooseBatch([{ ...used, unsettled: 5_000n }], costs, 5_000n), ["a"]);
  });

  test("on a close or a conflict all that is more than its gas, and it goes first", () => {
    for (const cause of ["close", "conflict"] as const) {
      assert.deepEqual(chooseBatch([owed("a", 60n, { cause })], costs, 0n), []);
      assert.deepEqual(chooseBatch([owed("a", 61n, { cause })], costs, 0n), ["a"]);
      assert.deepEqual(chooseBatch([owed("a", 1_200n), owed("b", 21n, { cause })], costs, 0n), ["b", "a"]);
    }
  });

  test("whatever is chosen because it has grown costs a twentieth of what it brings at most", () => {
    const one = fc.record({
      key: fc.uuid(),
      unsettled: fc.bigInt({ min: -10n, max: 10n ** 6n }),
      earning: fc.option(fc.record({ earned: fc.bigInt({ min: 0n, max: 10n ** 9n }), elapsedMs: fc.nat() }), { nil: undefined }),
      cause: fc.constant("due" as const),
      exposed: fc.boolean(),
    });
    const gas = fc.bigInt({ min: 0n, max: 10_000n });
    fc.assert(
      fc.property(fc.array(one, { maxLength: 20 }), gas, gas, fc.bigInt({ min: 0n, max: 10n ** 6n }), (channels, x, y, settleAt) => {
        const prices = x > y ? { first: x, next: y } : { first: y, next: x };
        const chosen = chooseBatch(channels, prices, settleAt);
        if (chosen.length === 0) return;
        const sum = channels.filter(({ key }) => chosen.includes(key)).reduce((total, { unsettled }) => total + unsettled, 0n);
        assert.ok(sum >= 20n * (prices.first + prices.next * BigInt(chosen.length - 1)));
        assert.ok(channels.every(({ key, unsettled }) => unsettled > 0n || !chosen.includes(key)));
      }),
    );
  });

  test("dust is what a close leaves that is not worth a claim", () => {
    assert.deepEqual(
      [20n, 21n, 0n].map((unsettled) => isDust({ unsettled, cause: "close" }, costs)),
      [true, false, false],
    );
    assert.equal(isDust({ unsettled: 5n, cause: "due" }, costs), false);
  });
});

describe("payments/clearing-policy: what it may cost", (test) => {
  const nowMs = 1_700_000_000_000;
  const closeAtMs = nowMs + closeDelayMs;
  const at = (hours: number) => mostFor("close", 1_000n, nowMs + hours * hourMs, closeAtMs);

  test("a twentieth; in a conflict all that it brings; by hand whatever it takes", () => {
    assert.equal(mostFor("due", 1_000n, nowMs), 50n);
    assert.equal(mostFor("conflict", 1_000n, nowMs), 1_000n);
    assert.equal(mostFor("hand", 1_000n, nowMs), undefined);
  });

  test("on a close more and more, up to the whole at the deadline, a day after it and two before the money is gone", () => {
    assert.deepEqual([at(0), at(12), at(24), at(71)], [50n, 525n, 1_000n, 1_000n]);
    assert.equal(at(-5), 50n);
    assert.equal(closeDeadlineMs(closeAtMs), nowMs + 24 * hourMs);
  });
});
