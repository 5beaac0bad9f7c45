import assert from "node:assert/strict";
import { describe } from "../support/harness.ts";
import { openRecorded } from "../support/recorded.ts";
import payments from "./payments.ts";

describe("perf/payments: what a promise costs", (test) => {
  test(
    "each is checked, quicker than with viem's recovery; waiting together they cost less, over streams more than an echo",
    async () => {
      const nothing = () => undefined;
      const recorded = openRecorded(undefined, "payments");
      const found = await payments.run({ runs: 1, log: nothing, ready: nothing, signal: new AbortController().signal, recorded });
      assert.deepEqual([found.runs, found.failures], [1, 0]);
      const figure = (name: string) => {
        const one = found.figures.find((each) => each.name === name);
        assert.ok(one && Number.isFinite(one.value), name);
        return { value: one.value, beside: one.beside?.value ?? Number.NaN };
      };
      const each = figure("promisesPerCoreSecond");
      assert.ok(each.value > 2 * each.beside, `${each.value}, with viem's recovery ${each.beside}`);
      assert.ok(figure("coalescedPerCoreSecond").value > 2 * each.value);
      assert.ok(figure("pipelineCpuAt1000").value > 0);
      assert.ok(figure("streamsOverEcho").value > 1);
      assert.equal(found.tried["promises over streams"], 4_000);
    },
    { timeoutMs: 120_000 },
  );
});
