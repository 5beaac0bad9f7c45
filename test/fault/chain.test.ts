import assert from "node:assert/strict";
import { describe } from "../support/harness.ts";
import { type ChainFound, kinds, runChain } from "./support/chain/run.ts";

/** every variant of the kinds that have five */
const runs = 5;

describe("fault/chain: what a chain, its RPCs and its prices do to a settlement", (test, { before }) => {
  let found: ChainFound;
  before(
    async () => {
      found = await runChain({ runs, log: () => undefined });
    },
    { timeoutMs: 400_000 },
  );

  test("everything promised is paid in time, and once", () => {
    assert.deepEqual(found.problems, []);
    assert.deepEqual(found.tried, Object.fromEntries(kinds.map((kind) => [kind, runs])));
  });

  test("without what helps against it each of them loses money, and that is seen", () => {
    for (const kind of kinds)
      assert.ok(
        found.controls[kind]?.some((text) => text.startsWith("lost")),
        kind,
      );
  });
});
