import assert from "node:assert/strict";
import { describe } from "../support/harness.ts";
import { type AttackFound, attackInProcess, attackLive, together } from "./support/attack/run.ts";

describe("fault/attack: every fraud there is, against an exit and against a consumer", (test, { before }) => {
  let found: AttackFound;
  before(
    async () => {
      const options = { live: 5, fuzzed: 25, lanes: 2, log: () => undefined };
      const [fuzzed, live] = await Promise.all([attackInProcess(options), attackLive(options)]);
      found = together(fuzzed, live);
    },
    { timeoutMs: 200_000 },
  );

  test("nothing is accepted, nobody gains more than the bound, and honest payers are served all the while", () => {
    assert.deepEqual(found.accepted, []);
    assert.deepEqual(found.problems, []);
    assert.ok(found.gainOverBound <= 0n, `${found.gainOverBound}`);
    assert.ok(found.honest.promises > 0 && found.honest.downloads > 0);
    assert.ok(found.growth.handles <= 10, `${found.growth.handles} handles are left open`);
    for (const [kind, { live, fuzzed }] of Object.entries(found.tried))
      assert.ok(fuzzed >= 25 && (live >= 5 || kind === "inflated receipts"), `${kind}: ${live}, ${fuzzed}`);
  });

  test("who goes without a defence is taken in, and that is seen", () => {
    assert.deepEqual(Object.keys(found.controls), Object.keys(found.tried));
    for (const [kind, taken] of Object.entries(found.controls)) assert.ok(taken > 0, kind);
  });
});
