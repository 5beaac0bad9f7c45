import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe } from "./harness.ts";
import { type Figure, percentile, reportOf, tableOf } from "./report.ts";

const figure = (more: Partial<Figure>): Figure => ({ name: "p95Ms", value: 10, unit: "ms", better: "lower", ...more });
const found = (more: object) => ({ runs: 1, failures: 0, figures: [], tried: { kill: 1 }, ...more });

describe("support/report", (test) => {
  test("passes when something was tried, nothing failed and each target is reached", () => {
    assert.equal(reportOf("x", found({})).pass, true);
    assert.equal(reportOf("x", found({ figures: [figure({ target: 10 }), figure({ better: "higher", target: 10 })] })).pass, true);
    for (const more of [
      { failures: 1 },
      { runs: 0 },
      { tried: {} },
      { tried: { kill: 0 } },
      { figures: [figure({ target: 9 })] },
      { figures: [figure({ target: 11, better: "higher" })] },
      { figures: [figure({ target: 11, value: Number.NaN })] },
      { figures: [figure({ target: 11, value: Number.POSITIVE_INFINITY, better: "higher" })] },
    ])
      assert.equal(reportOf("x", found(more)).pass, false, JSON.stringify(more));
  });

  test("percentiles are by the nearest rank", () => {
    assert.equal(percentile([3, 1, 2], 0.5), 2);
    assert.equal(percentile([3, 1, 2], 0.95), 3);
    assert.equal(percentile([7], 0), 7);
    assert.ok(Number.isNaN(percentile([], 0.5)));
  });

  test("the table names what was missed", () => {
    const table = tableOf(reportOf("x", found({ figures: [figure({ target: 9, beside: { name: "floor", value: 1.25 } })] })));
    assert.match(table, /p95Ms +10 +ms +<= 9 {2}MISSED +floor 1\.25/);
    assert.match(table, /x: 1 runs, 0 failures: FAIL/);
  });

  test("the table rounds to four digits, and takes none away from what is before the point", () => {
    const figures = [3030.2, 10_961.4, 0.20004, 12].map((value) => figure({ value }));
    const shown = [...tableOf(reportOf("x", found({ figures }))).matchAll(/p95Ms +(\S+) +ms/g)].map(([, value]) => value);
    assert.deepEqual(shown, ["3030", "10960", "0.2", "12"]);
  });

  for (const script of ["bench.ts", "fault.ts"])
    test(`${script} ends with 2 on an unknown name`, () => {
      const ran = spawnSync(process.execPath, [join(import.meta.dirname, script), "no-such-thing"], { encoding: "utf8" });
      assert.equal(ran.status, 2, ran.stderr);
      assert.match(ran.stderr, /NAME is one of/);
      assert.equal(ran.stdout, "");
    });
});
