import assert from "node:assert/strict";
import { describe } from "../support/harness.ts";
import { type ReputationFound, runReputation } from "./support/reputation/run.ts";

describe("fault/reputation: what many false names can do to scores and choices", (test, { before }) => {
  let found: ReputationFound;
  before(async () => {
    found = await runReputation({ runs: 1, sybils: [500], watchers: 4, log: () => undefined });
  });

  test("everything stays within its bounds, and each attack works where nothing defends", () => {
    assert.deepEqual(found.problems, []);
    assert.equal(found.markets[500]?.length, 1);
    assert.equal(found.balances.length, 10);
  });

  test("washing money among one's own gains exactly nothing", () => {
    assert.equal(found.markets[500]?.[0]?.wash.gain, 0);
  });
});
