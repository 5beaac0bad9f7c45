import assert from "node:assert/strict";
import { describe } from "../support/harness.ts";
import { measureMarket } from "./support/discovery/market.ts";
import { measureSnapshot } from "./support/discovery/snapshot.ts";

const { signal } = new AbortController();

describe("perf/discovery: a small run", (test) => {
  test(
    "a snapshot comes whole, and takes no less than checking it does",
    async () => {
      const { pulled, checked } = await measureSnapshot(200, 2);
      assert.equal(pulled.length, 2);
      assert.ok(Math.min(...checked) > 0 && pulled.every((ms) => Number.isFinite(ms) && ms > 0));
    },
    { timeoutMs: 120_000 },
  );

  test(
    "what is said is heard, what is looked for is found, and nodes cost something",
    async () => {
      const found = await measureMarket(4, { tries: 2, idleMs: 2_000, settleMs: 1_000, signal, log: () => undefined });
      for (const one of [...found.published, ...found.cold, ...found.warm]) assert.ok(Number.isFinite(one), "not found");
      assert.deepEqual([found.published.length, found.cold.length, found.warm.length], [2, 2, 2]);
      assert.ok(found.bytes > 10_000 && found.cpuSecondsPerHour > 0);
    },
    { timeoutMs: 120_000 },
  );
});
