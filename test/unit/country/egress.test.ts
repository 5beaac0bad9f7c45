import assert from "node:assert/strict";
import { openSeenEgress } from "../../../src/country/egress.ts";
import { describe } from "../../support/harness.ts";
import { memoryStore } from "../reputation/fixtures.ts";

const dayMs = 86_400_000;

describe("country/egress", (test) => {
  test("the last one of each exit is kept, through a restart, for a month", async () => {
    const store = memoryStore();
    let nowMs = 100 * dayMs;
    const clock = { nowMs: () => nowMs };
    const seen = await openSeenEgress(store, clock);
    await seen.note("a", { address: "45.1.2.3", observers: 3, atMs: nowMs });
    await seen.note("a", { address: "45.1.2.4", observers: 4, atMs: nowMs });
    await seen.note("b", { address: "2a00::1", observers: 5, atMs: nowMs });
    const again = await openSeenEgress(store, clock);
    assert.deepEqual(again.of("a"), { address: "45.1.2.4", observers: 4, atMs: nowMs });
    assert.equal(again.of("b")?.address, "2a00::1");
    assert.equal(again.of("c"), undefined);
    nowMs += 31 * dayMs;
    assert.equal(again.of("a"), undefined);
  });

  test("of very many the latest thousand are kept", async () => {
    const store = memoryStore();
    const seen = await openSeenEgress(store, { nowMs: () => 2_000 });
    for (let n = 0; n < 1_005; n += 1) await seen.note(`peer ${n}`, { address: "45.1.2.3", observers: 3, atMs: n });
    const again = await openSeenEgress(store, { nowMs: () => 2_000 });
    for (const one of [seen, again]) assert.deepEqual([one.of("peer 4"), one.of("peer 5")?.atMs], [undefined, 5]);
  });
});
