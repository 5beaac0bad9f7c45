import assert from "node:assert/strict";
import { describe } from "../support/harness.ts";
import { openRecorded } from "../support/recorded.ts";
import { enterNamespaces } from "../tunnel/backend/rig.ts";
import { type LinkFound, runLinks } from "./support/link-run.ts";

const kinds = ["path 800"];
const skip = enterNamespaces(import.meta.filename);

describe("fault/link: a line that takes no packet over 800 bytes, and says nothing of it", (test, { before }) => {
  let found: LinkFound;
  before(
    async () => {
      const { signal } = new AbortController();
      found = await runLinks({ kinds, runs: 1, recorded: openRecorded(undefined, "link"), log: (line) => console.log(line), signal });
    },
    { timeoutMs: 200_000 },
  );

  test(
    "without a tunnel nothing larger passes; with one everything is carried, and billed within the allowance",
    () => {
      assert.deepEqual(found.problems, []);
      assert.ok(found.droppedLeast > 0);
      assert.deepEqual(Object.keys(found.tried), kinds);
    },
    { skip, timeoutMs: 220_000 },
  );
});
