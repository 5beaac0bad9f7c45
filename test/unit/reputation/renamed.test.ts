import assert from "node:assert/strict";
import type { Hex } from "../../../src/lib/codec.ts";
import type { HeldRecord } from "../../../src/reputation/ledger.ts";
import { type Names, renamed, sameNames } from "../../../src/reputation/renamed.ts";
import { flowsOf, type Own, type Rating } from "../../../src/reputation/score.ts";
import { describe } from "../../support/harness.ts";

const [self, old, now, other, payer, payerNow] = ["0x1", "0x2", "0x3", "0x4", "0x5", "0x6"] as [Hex, Hex, Hex, Hex, Hex, Hex];
const moved = new Map<Hex, Hex>([
  [old, now],
  [payer, payerNow],
]);
const names: Names = {
  now: (address) => moved.get(address) ?? address,
  before: (address) => [...moved].filter(([, to]) => to === address).map(([from]) => from),
};
const own: Own[] = [
  { provider: old, volume: 10, ok: 4, fail: 1 },
  { provider: now, volume: 5, ok: 2, fail: 0 },
  { provider: other, volume: 1, ok: 1, fail: 0 },
];
const all: Rating[] = [
  { payer, provider: old, volume: 8, ok: 3, fail: 0 },
  { payer: payerNow, provider: now, volume: 2, ok: 1, fail: 0 },
  { payer: payerNow, provider: other, volume: 4, ok: 2, fail: 1 },
];
const record = (by: Hex): HeldRecord => ({ payer: by, epoch: 1, seq: 1, sessions: 1, fails: 0 }) as HeldRecord;
const evidence = {
  own,
  ratings: {
    of: (provider: Hex) => all.filter((one) => one.provider === provider),
    by: (by: Hex) => all.filter((one) => one.payer === by),
  },
  seen: (provider: Hex) => ({ sessions: provider === old ? 5 : 2, fails: 0, mbps: [provider === old ? 50 : 60], rttMs: [], flags: 0 }),
  records: (provider: Hex) => (provider === old ? [record(payer)] : provider === now ? [record(payerNow)] : []),
};

describe("reputation/renamed: a key that was handed over", (test) => {
  test("what was known under it counts under the next one, ours and others', once", () => {
    const { own: dealings, ratings, seen, records } = renamed(evidence, names);
    assert.deepEqual(dealings[0], { provider: now, volume: 15, ok: 6, fail: 1 });
    assert.equal(dealings.length, 2);
    assert.deepEqual(ratings.of(now), [{ payer: payerNow, provider: now, volume: 10, ok: 4, fail: 0 }]);
    assert.deepEqual(
      ratings.by(payerNow).map(({ provider, volume }) => [provider, volume]),
      [
        [now, 10],
        [other, 4],
      ],
    );
    assert.deepEqual(seen(now), { sessions: 7, fails: 0, mbps: [60, 50], rttMs: [], flags: 0 });
    assert.deepEqual(
      records(now).map((one) => one.payer),
      [payerNow, payerNow],
    );
  });

  test("so the trace of money ends where the exit is now; without the hand-over half of it would be lost", () => {
    const flow = (by: Names) => {
      const { own: dealings, ratings } = renamed(evidence, by);
      return flowsOf(self, dealings, ratings).to(now);
    };
    assert.ok(flow(names) > 2 * flow(sameNames));
  });
});
