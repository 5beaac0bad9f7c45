import { describe } from "../support/harness.ts";
import { enterNamespaces } from "../tunnel/backend/rig.ts";
import { assertNonePassed, assertSeen, type PolicyFound } from "./support/exit-policy/found.ts";
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

  test("with the policy off each kind is seen to arrive, in each way", () => assertSeen(found, 14), { skip });
  test("under it none arrives, while what may pass does", () => assertNonePassed(found, runs, Math.ceil(runs / 100)), { skip });
});
