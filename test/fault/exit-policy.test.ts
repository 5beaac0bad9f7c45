import { describe } from "../support/harness.ts";
import { enterNamespaces } from "../tunnel/backend/rig.ts";
import { assertNonePassed, assertSeen, type PolicyFound } from "./support/exit-policy/found.ts";
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

  test("with the policy off each kind is seen to arrive, in each way", () => assertSeen(found, 28), { skip });
  test("under it none arrives, while what may pass does", () => assertNonePassed(found, runs, 11), { skip });
});
