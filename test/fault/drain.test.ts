import assert from "node:assert/strict";
import { describe } from "../support/harness.ts";
import { type Drained, drainOnce } from "./support/drain/run.ts";

describe("fault/drain: a payer that promises one deposit to twenty exits, on anvil", (test, { before }) => {
  let found: Drained[];
  before(
    async () => {
      found = await Promise.all([drainOnce("all at once, patiently"), drainOnce("a little everywhere"), drainOnce("all at once", false)]);
    },
    { timeoutMs: 120_000 },
  );

  test("over-promises to all of them at once, and drains the deposit to itself: it gains less than it loses, and its bond burns", () => {
    const { gain, lost, found: knowing, problems } = found[0] as Drained;
    assert.deepEqual([problems, knowing], [[], 20]);
    assert.ok(gain < lost && lost >= 875, `gains ${gain}, loses ${lost} thousandths of its bond`);
  });

  test("runs up a little everywhere first: the same", () => {
    const { gain, lost, found: knowing, problems } = found[1] as Drained;
    assert.deepEqual([problems, knowing], [[], 20]);
    assert.ok(gain < lost && lost >= 875, `gains ${gain}, loses ${lost} thousandths of its bond`);
  });

  test("without the limits on what others have not seen it gains more than it loses", () => {
    const { gain, lost } = found[2] as Drained;
    assert.ok(gain > lost, `gains ${gain}, loses ${lost} thousandths of its bond`);
  });
});
