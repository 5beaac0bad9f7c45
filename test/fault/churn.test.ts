import assert from "node:assert/strict";
import { describe } from "../support/harness.ts";
import { enterNamespaces } from "../tunnel/backend/rig.ts";
import { type ChurnFound, runChurn, slopeOf } from "./support/churn/run.ts";

const runs = 6;
const skip = enterNamespaces(import.meta.filename);

describe("fault/churn: sessions come and go", (test, { before }) => {
  let found: ChurnFound;
  before(
    async () => {
      if (skip) return;
      found = await runChurn({ runs, log: (line) => console.log(line) });
    },
    { timeoutMs: 180_000 },
  );

  test(
    "while one is open a look sees what it brings, and afterwards none of it is left",
    () => {
      for (const what of ["peers", "open quotas", "conntrack entries", "sessions"]) assert.ok(found.seenOpen[`exit: ${what}`], what);
      for (const what of ["interfaces", "addresses", "routes", "policy rules", "firewall rules", "processes"])
        assert.ok(found.seenOpen[`consumer: ${what}`], what);
      assert.deepEqual(found.problems, []);
      assert.deepEqual(found.left, []);
      assert.equal(found.sessions, runs);
    },
    { skip },
  );

  test("a heap that grows is told from one that only swings", () => {
    const swing = (i: number) => 50e6 + 400_000 * Math.sin(i * 2.3);
    const heaps = (perSession: number) => Array.from({ length: 40 }, (_, i) => swing(i) + i * 25 * perSession);
    assert.ok(Math.abs(slopeOf(heaps(0), 25)) < 2_048);
    assert.ok(slopeOf(heaps(4_096), 25) > 2_048);
  });
});
