import assert from "node:assert/strict";
import { quantumMoney } from "../../src/payments/quantum.ts";
import { describe } from "../support/harness.ts";
import { prices, simulateDownload } from "../support/line-simulation.ts";

describe("perf/quantum: payment and fast lines, in simulated time", (test) => {
  for (const rate of [10e6, 100e6, 300e6, 1e9])
    for (const rttMs of [5, 200])
      test(`does not hold up ${rate / 1e6} Mbit/s at ${rttMs} ms there and back, at ten promises a second, and never more than a quantum is at stake`, () => {
        const { steadyShare, promisesPerSecond, mostAhead, terms } = simulateDownload({ rate, rttMs, decideMs: () => 20, forMs: 6_000 });
        assert.ok(steadyShare >= 0.95, `${steadyShare} of the line`);
        assert.ok(promisesPerSecond <= 10, `${promisesPerSecond} promises a second`);
        assert.ok(mostAhead <= terms.quantum, `${mostAhead} of ${terms.quantum} at stake`);
      });

  test("would see a quantum that is too small", () => {
    const line = { rate: 300e6, rttMs: 20, decideMs: () => 20, forMs: 6_000 };
    assert.ok(simulateDownload({ ...line, quantum: quantumMoney(prices, 0n) }).steadyShare < 0.5);
  });
});
