import assert from "node:assert/strict";
import { isPoor } from "../../../../src/node/failover/probe.ts";
import { counted, isSlow, newTrend, settled, type Trend } from "../../../../src/node/failover/trend.ts";
import { describe } from "../../../support/harness.ts";

/** So many seconds of this, from what was before. */
const pass = (line: { trend: Trend; ms: number; bytes: bigint; up: bigint }, seconds: number, perSecond: number, upPerSecond: number) => {
  let { trend, ms, bytes, up } = line;
  for (let look = 0; look < 4 * seconds; look += 1) {
    ms += 250;
    bytes += BigInt(perSecond) / 4n;
    up += BigInt(upPerSecond) / 4n;
    trend = counted(trend, ms, bytes, up);
  }
  return { trend, ms, bytes, up };
};
const idle = { trend: newTrend(0), ms: 0, bytes: 0n, up: 0n };
const fast = pass(idle, 10, 4_000_000, 80_000);

describe("node/failover trend: far less than a moment ago, although it is asked for", (test) => {
  test("is seen within five seconds", () => {
    assert.equal(isSlow(fast.trend), false);
    assert.equal(isSlow(pass(fast, 3, 20_000, 2_000).trend), false);
    assert.equal(isSlow(pass(fast, 5, 20_000, 2_000).trend), true);
  });

  test("is not what a program does that is done, nor a line that is only half as fast, nor one that never was in use", () => {
    assert.equal(isSlow(pass(fast, 10, 0, 0).trend), false);
    assert.equal(isSlow(pass(fast, 10, 2_000_000, 40_000).trend), false);
    assert.equal(isSlow(pass(pass(idle, 10, 100_000, 8_000), 10, 1_000, 1_000).trend), false);
  });

  test("is looked at again after it was measured, a few times", () => {
    let line = pass(fast, 5, 20_000, 2_000);
    let measured = 0;
    for (; isSlow(line.trend) && measured < 20; measured += 1) {
      line = { ...line, trend: settled(line.trend) };
      assert.equal(isSlow(line.trend), false);
      assert.equal(isSlow(pass(line, 4, 20_000, 2_000).trend), false);
      line = pass(line, 5, 20_000, 2_000);
    }
    // 4 MB, halved until it is under 256 KiB
    assert.equal(measured, 4);
  });

  test("is forgotten within minutes, and over a standstill of our own", () => {
    const slow = pass(fast, 5, 20_000, 2_000);
    assert.equal(isSlow(pass(fast, 300, 20_000, 2_000).trend), false);
    assert.equal(isSlow(counted(slow.trend, slow.ms + 10_000, slow.bytes, slow.up)), false);
  });
});

describe("node/failover probe: measured beside the standby", (test) => {
  const well = [40, 40, 50, 60, 40];

  test("poor is what answers seldom, or slowly and far slower than the standby", () => {
    assert.equal(isPoor([50, 60], well), true);
    assert.equal(isPoor([1_600, 1_700, 2_000, 1_900], well), true);
    assert.equal(isPoor([], well), true);
  });

  test("and not what is slow for both, or slow and still good enough", () => {
    assert.equal(isPoor([1_600, 1_700, 2_000, 1_900], [1_000, 1_100, 1_200, 900]), false);
    assert.equal(isPoor([400, 500, 600], well), false);
    assert.equal(isPoor([50, 60], [50, 60]), false);
  });
});
