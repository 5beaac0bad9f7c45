import assert from "node:assert/strict";
import { describe } from "../support/harness.ts";
import { enterNamespaces } from "../tunnel/backend/rig.ts";
import type { PolicyFound } from "./support/exit-policy/found.ts";
import { runTunnelPolicy } from "./support/exit-policy/tunnel.ts";

const runs = 280;
const skip = enterNamespaces(import.meta.filename);

describe("fault/exit-policy: a client of a tunnel tries what its exit must not carry", (test, { before }) => {
  let found: PolicyFound;
  before(
    async () => {
      if (skip) return;
      found = await runTunnelPolicy({ runs, log: (line) => console.log(line) });
    },
    { timeoutMs: 180_000 },
  );

  test(
    "with the policy off each kind is seen to arrive, in each way",
    () => {
      for (const [kind, arrived] of Object.entries(found.seen)) assert.ok(arrived > 0, kind);
      assert.equal(Object.keys(found.seen).length, 14);
    },
    { skip },
  );

  test(
    "under it none arrives, while what may pass does",
    () => {
      assert.deepEqual(found.problems, []);
      assert.equal(found.passed, 0);
      assert.equal(found.reached, Math.ceil(runs / 100));
      assert.equal(
        Object.values(found.tried).reduce((all, count) => all + count, 0),
        runs,
      );
    },
    { skip },
  );
});
