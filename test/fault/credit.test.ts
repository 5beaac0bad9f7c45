import assert from "node:assert/strict";
import { describe } from "../support/harness.ts";
import { enterNamespaces } from "../tunnel/backend/rig.ts";
import { allowance, type CreditFound, runCredit, stopped } from "./support/credit-run.ts";

const skip = enterNamespaces(import.meta.filename);

describe("fault/credit: a node stands still in the middle of a download through a tunnel", (test, { before }) => {
  let found: CreditFound;
  before(
    async () => {
      found = await runCredit({ stops: [...stopped], log: (line) => console.log(line) });
    },
    { timeoutMs: 200_000 },
  );

  test(
    "nothing is carried beyond what was prepaid, and the count would show it",
    () => {
      assert.deepEqual(found.problems, []);
      assert.ok(found.over <= allowance, `${found.over}`);
      assert.ok(found.overWhenRaised > allowance, `${found.overWhenRaised}`);
    },
    { skip, timeoutMs: 220_000 },
  );
});
