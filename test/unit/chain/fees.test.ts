import assert from "node:assert/strict";
import fc from "fast-check";
import { clearingCosts, feesAt, inToken, inWei, priceCap, raisedFees } from "../../../src/chain/fees.ts";
import { describe } from "../../support/harness.ts";

const gwei = 10n ** 9n;

describe("chain/fees", (test) => {
  test("room for the base fee to double, but not over the limit, and nothing where even the present price is", () => {
    const market = { baseFee: 10n * gwei, tip: gwei };
    assert.deepEqual(feesAt(market), { type: "eip1559", maxFeePerGas: 21n * gwei, maxPriorityFeePerGas: gwei });
    assert.deepEqual(feesAt(market, { perGas: 15n * gwei }), {
      type: "eip1559",
      maxFeePerGas: 15n * gwei,
      maxPriorityFeePerGas: gwei,
    });
    assert.equal(feesAt(market, { perGas: 11n * gwei - 1n }), undefined);
    assert.deepEqual(feesAt({ baseFee: undefined, tip: gwei }), { type: "legacy", gasPrice: gwei });
  });

  test("a transaction whose fees would do is not raised: more money does not help it", () => {
    const stuck = { maxFeePerGas: 21n * gwei, maxPriorityFeePerGas: gwei };
    assert.equal(raisedFees(stuck, { baseFee: 20n * gwei, tip: gwei }), undefined);
    assert.notEqual(raisedFees(stuck, { baseFee: 20n * gwei + 1n, tip: gwei }), undefined);
    assert.notEqual(raisedFees(stuck, { baseFee: gwei, tip: gwei + 1n }), undefined);
  });

  test("what replaces another pays at least an eighth more of both, is enough for the market, and within its limit", () => {
    const price = fc.bigInt({ min: 1n, max: 10n ** 13n });
    const market = fc.record({ baseFee: fc.option(price, { nil: undefined }), tip: price });
    fc.assert(
      fc.property(price, price, market, fc.option(price, { nil: undefined }), (cap, tip, now, perGas) => {
        const stuck = now.baseFee === undefined ? { gasPrice: cap } : { maxFeePerGas: cap + tip, maxPriorityFeePerGas: tip };
        const fees = raisedFees(stuck, now, perGas);
        if (!fees) return;
        const old = stuck.maxFeePerGas ?? stuck.gasPrice ?? 0n;
        assert.ok(priceCap(fees) * 8n >= old * 9n);
        assert.ok(priceCap(fees) >= (now.baseFee ?? 0n) + now.tip);
        if (perGas !== undefined) assert.ok(priceCap(fees) <= perGas);
        if (fees.type === "eip1559") {
          assert.ok(fees.maxPriorityFeePerGas * 8n >= tip * 9n);
          assert.ok(fees.maxPriorityFeePerGas <= fees.maxFeePerGas);
        }
      }),
    );
  });

  test("gas in the token, by what a coin is worth; free where that is nothing", () => {
    const coin = 10n ** 18n;
    assert.equal(inToken(coin, 2_500_000n), 2_500_000n);
    assert.equal(inWei(2_500_000n, 2_500_000n), coin);
    assert.equal(inWei(5n, 0n), undefined);
    const { first, next } = clearingCosts({ baseFee: 29n * gwei, tip: gwei }, coin);
    assert.deepEqual([first, next], [65_000n * 30n * gwei, 25_000n * 30n * gwei]);
    assert.deepEqual(clearingCosts({ baseFee: gwei, tip: gwei }, 0n), { first: 0n, next: 0n });
  });
});
