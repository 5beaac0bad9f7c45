import assert from "node:assert/strict";
import { quantumMoney } from "../../src/payments/quantum.ts";
import { describe } from "../support/harness.ts";
import { prices, simulateDownload } from "../support/line-simulation.ts";

const myst = 10n ** 18n;
const unseen = { bond: myst, exits: 50, channels: 1 };

describe("perf/quantum: payment and fast lines, in simulated time", (test) => {
  for (const rate of [10e6, 100e6, 300e6, 1e9])
    for (const rttMs of [5, 200])
      test(`does not hold up ${rate / 1e6} Mbit/s at ${rttMs} ms there and back, at ten promises a second, and never more than a quantum is at stake`, () => {
        const { steadyShare, promisesPerSecond, mostAhead, terms } = simulateDownload({
          ...{ rate, rttMs, decideMs: () => 20, forMs: 6_000, unseen },
        });
        assert.ok(steadyShare >= 0.95, `${steadyShare} of the line`);
        assert.ok(promisesPerSecond <= 10, `${promisesPerSecond} promises a second`);
        assert.ok(mostAhead <= terms.quantum, `${mostAhead} of ${terms.quantum} at stake`);
      });

  test("a bond that is too small for the line throttles it, and ends nothing", () => {
    const { steadyShare, waits } = simulateDownload({
      ...{ rate: 1e9, rttMs: 20, decideMs: () => 20, forMs: 12_000, unseen: { ...unseen, bond: myst / 10n } },
    });
    assert.ok(steadyShare > 0.15 && steadyShare < 0.5 && waits > 0, `${steadyShare} of the line, ${waits} waits`);
  });

  test("a consumer that knows what exits go by is let in at once, among however many they are", () => {
    const line = { rate: 1e8, rttMs: 20, decideMs: () => 2, forMs: 3_000 };
    const many = { ...unseen, bond: myst / 4n, exits: 1_000 };
    assert.ok(simulateDownload({ ...line, unseen: many }).openMs < 100);
    assert.ok(simulateDownload({ ...line, unseen: { ...many, minds: false } }).openMs >= 2_000);
  });

  test("would see a quantum that is too small", () => {
    const line = { rate: 300e6, rttMs: 20, decideMs: () => 20, forMs: 6_000 };
    assert.ok(simulateDownload({ ...line, quantum: quantumMoney(prices, 0n) }).steadyShare < 0.5);
  });
});
