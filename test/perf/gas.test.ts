import assert from "node:assert/strict";
import { describe } from "../support/harness.ts";
import { measureGas } from "./gas.ts";

describe("perf/gas: what a claim costs", (test) => {
  test("in a batch less than on a plain channel, and the rest of a transaction is shared", async () => {
    const { runs, figures } = await measureGas({ batch: 10, runs: 1, log: () => {}, signal: new AbortController().signal });
    assert.equal(runs, 1);
    const [repeat, fresh, single] = figures;
    assert.ok(repeat && fresh && single);
    for (const { name, value, beside } of [repeat, fresh]) {
      assert.ok(value > 15_000, `${name} ${value}: less than storage and recovery alone take`);
      assert.ok(value < (beside?.value ?? 0) / 2, `${name} ${value}, plain ${beside?.value}`);
    }
    assert.ok(repeat.value < fresh.value && fresh.value < single.value);
    assert.ok(single.value < 60_000, `${single.value}`);
  });
});
