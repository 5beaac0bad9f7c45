import assert from "node:assert/strict";
import { describe } from "../support/harness.ts";
import { seenWithoutDefences } from "./support/disk/control.ts";
import { damages } from "./support/disk/damage.ts";
import { type DiskRun, runDisk, type Side } from "./support/disk/run.ts";

const harmed: [Side, string][] = [
  ["payer", "restored from a copy"],
  ["exit", "log cut off"],
];

describe("fault/disk: what is left of a node's ledgers when its disk has failed it", (test, { before }) => {
  let found: DiskRun[] = [];
  before(
    async () => {
      const runs = harmed.flatMap(([side, name]) => damages.filter((damage) => damage.name === name).map((damage) => ({ side, damage })));
      found = await runDisk({ runs, walled: false, log: () => undefined });
    },
    { timeoutMs: 300_000 },
  );

  test("a payer that was restored signs nothing, an exit that has lost promises has them back from who gave them, and both say so", () => {
    assert.deepEqual(
      found.map(({ kind, problems }) => ({ kind, problems })),
      harmed.map(([side, name]) => ({ kind: `${side}: ${name}`, problems: [] })),
    );
    assert.equal(found[0]?.ending, "signs nothing");
  });

  test("who goes without the defences is seen to sign below, to lose, and to end without a word", async () => {
    for (const [what, wrong] of Object.entries(await seenWithoutDefences())) assert.ok(wrong.length > 0, what);
  });
});
