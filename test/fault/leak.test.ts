import assert from "node:assert/strict";
import { describe } from "../support/harness.ts";
import { enterNamespaces } from "../tunnel/backend/rig.ts";
import { type LeakFound, runLeaks, type Victim } from "./support/leak-run.ts";

const kills: Victim[] = ["tunnel", "node", "helper", "exit"];
const skip = enterNamespaces(import.meta.filename);

describe("fault/leak: a part of a tunnel is killed while the user's programs go on", (test, { before }) => {
  let found: LeakFound;
  before(
    async () => {
      found = await runLeaks({ kills, log: (line) => console.log(line) });
    },
    { timeoutMs: 300_000 },
  );

  test(
    "no packet leaves the consumer's host outside of it, and each kind of packet would have been seen",
    () => {
      assert.deepEqual(found.problems, []);
      assert.equal(found.leaked, 0);
      assert.ok(found.inside > 100, `${found.inside}`);
      for (const [trace, packets] of Object.entries(found.unguarded)) assert.ok(packets > 0, trace);
      assert.equal(Object.keys(found.tried).length, kills.length);
    },
    { skip, timeoutMs: 320_000 },
  );
});
