import assert from "node:assert/strict";
import { relayDelayMs } from "../../../../src/payments/heads/lanes.ts";
import { growthLimit, isToTell, newcomerLimit, seenAfterMs, seenOf, type Told, telling } from "../../../../src/payments/heads/limits.ts";
import { describe } from "../../../support/harness.ts";

const told = (...all: [bigint, number][]): Told[] => all.map(([cumulative, atMs]) => ({ cumulative, atMs }));

describe("payments/heads: limits on what others have not seen", (test) => {
  test("all that is unseen at once comes to an eighth of the bond, and to a sixteenth of 1 + 1/4 + 1/9 ...", () => {
    const bond = 10n ** 18n;
    assert.equal(newcomerLimit(bond, 50) * 50n, bond / 8n);
    let sum = 0n;
    for (let k = 1; k <= 10_000; k += 1) sum += growthLimit(bond, k);
    assert.ok(sum < (bond * 103n) / 1_000n);
    assert.deepEqual([newcomerLimit(bond, 0), growthLimit(bond, 0)], [bond / 8n, bond / 16n]);
  });

  test("the newest head that is 2 s old is seen; older ones are forgotten, those under way are not", () => {
    let all: Told[] = [];
    for (const [cumulative, atMs] of [
      [1n, 0],
      [2n, 1_500],
      [3n, 2_500],
      [4n, 3_600],
    ] as [bigint, number][])
      all = telling(all, { cumulative, atMs }, atMs, seenAfterMs);
    assert.equal(seenOf(all, 1_999, seenAfterMs), undefined);
    assert.deepEqual(all, told([2n, 1_500], [3n, 2_500], [4n, 3_600]));
    assert.equal(seenOf(all, 3_600, seenAfterMs)?.cumulative, 2n);
    assert.equal(seenOf(all, 5_600, seenAfterMs)?.cumulative, 4n);
  });

  test("what is told: the first at once, then a quarter of the limit, each minute, and never twice a second", () => {
    assert.equal(isToTell([], 1n, 100n, 0), true);
    const once = told([100n, 0]);
    const cases: [cumulative: bigint, nowMs: number, isTold: boolean][] = [
      [125n, 999, false],
      [125n, 1_000, true],
      [124n, 1_000, false],
      [101n, 49_999, false],
      [101n, 50_000, true],
      [100n, 90_000, false],
    ];
    for (const [cumulative, nowMs, isTold] of cases)
      assert.equal(isToTell(once, cumulative, 100n, nowMs), isTold, `${cumulative} ${nowMs}`);
  });

  test("what is told has reached a thousand peers with six neighbours each by the time it counts as seen", () => {
    let seed = 11;
    const draw = () => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed / 2_147_483_648;
    };
    for (let run = 0; run < 3; run += 1) {
      assert.ok(slowest(1_000, 6, () => relayDelayMs(draw()), draw) <= seenAfterMs);
      // with waits of any length alike it would not have
      assert.ok(slowest(1_000, 6, () => seenAfterMs * draw(), draw) > seenAfterMs);
    }
  });
});

/** When the last peer of a random network has it, with 50 ms for each way. */
function slowest(count: number, neighbours: number, delayMs: () => number, draw: () => number): number {
  const links = Array.from({ length: count }, () => new Set<number>());
  for (const [i, mine] of links.entries())
    while (mine.size < neighbours) {
      const j = Math.floor(draw() * count);
      if (j === i) continue;
      mine.add(j);
      links[j]?.add(i);
    }
  const atMs = new Array<number>(count).fill(Number.POSITIVE_INFINITY);
  const open = new Set([0]);
  atMs[0] = 0;
  let lastMs = 0;
  while (open.size > 0) {
    let next = -1;
    for (const i of open) if (next < 0 || (atMs[i] as number) < (atMs[next] as number)) next = i;
    open.delete(next);
    lastMs = atMs[next] as number;
    const onMs = lastMs + (next === 0 ? 0 : delayMs()) + 50;
    for (const to of links[next] as Set<number>)
      if (onMs < (atMs[to] as number)) {
        atMs[to] = onMs;
        open.add(to);
      }
  }
  return lastMs;
}
