import assert from "node:assert/strict";
import { describe } from "../support/harness.ts";
import { openRecorded } from "../support/recorded.ts";
import { enterNamespaces } from "../tunnel/backend/rig.ts";
import { type LeakFound, runLeaks } from "./support/leak-run.ts";

const kinds = ["in state handshaking", "node killed", "tables flushed", "routes pushed"];
const skip = enterNamespaces(import.meta.filename);

describe("fault/leak: parts of a tunnel are killed and changed while the user's programs go on", (test, { before }) => {
  let found: LeakFound;
  before(
    async () => {
      const { signal } = new AbortController();
      found = await runLeaks({ kinds, runs: 1, recorded: openRecorded(undefined, "leak"), log: (line) => console.log(line), signal });
    },
    { timeoutMs: 300_000 },
  );

  test(
    "no packet leaves the consumer's host outside of it, and each kind of packet would have been seen",
    () => {
      assert.deepEqual(found.problems, []);
      assert.equal(found.leaked, 0);
      assert.ok(found.inside > 100, `${found.inside}`);
      assert.ok(found.unguarded > 0);
      assert.ok(found.mendedMs > 0);
      assert.deepEqual(Object.keys(found.tried), kinds);
    },
    { skip, timeoutMs: 320_000 },
  );
});
