import assert from "node:assert/strict";
import { describe } from "../support/harness.ts";
import { enterNamespaces } from "../tunnel/backend/rig.ts";
import type { PolicyFound } from "./support/exit-policy/found.ts";
import { runProxyPolicy } from "./support/exit-policy/proxy.ts";
import { becomeEverywhere } from "./support/exit-policy/traps.ts";

const runs = 400;
const skip = enterNamespaces(import.meta.filename);

describe("fault/exit-policy: a client of the proxy tries what its exit must not carry", (test, { before }) => {
  let found: PolicyFound;
  before(
    async () => {
      if (skip) return;
      becomeEverywhere();
      found = await runProxyPolicy({ runs, log: () => undefined });
    },
    { timeoutMs: 120_000 },
  );

  test(
    "with the policy off each kind is seen to arrive, in each way",
    () => {
      for (const [kind, arrived] of Object.entries(found.seen)) assert.ok(arrived > 0, kind);
      assert.equal(Object.keys(found.seen).length, 28);
    },
    { skip },
  );

  test(
    "under it none arrives, while what may pass does",
    () => {
      assert.deepEqual(found.problems, []);
      assert.equal(found.passed, 0);
      assert.ok(found.reached > 10, `${found.reached}`);
      assert.ok(Object.values(found.tried).reduce((all, count) => all + count, 0) > runs);
    },
    { skip },
  );
});
