import assert from "node:assert/strict";
import { describe } from "../support/harness.ts";
import { choices } from "./network.ts";
import { runRealChurn } from "./support/network/real.ts";
import { runSimulatedChurn } from "./support/network/simulated.ts";

const { signal } = new AbortController();
const churn = { countries: ["US", "DE"], share: 0.3, withinMs: 60_000 };

describe("fault/network: a third of it is killed and replaced meanwhile", (test) => {
  for (const { name, sources } of choices)
    test(
      `simulated${name}: every cold consumer finds an exit of its country that is alive`,
      async () => {
        const tried = await runSimulatedChurn(
          { ...churn, peers: 14, exits: 6, tries: 4, withinMs: 30_000, sources },
          signal,
          () => undefined,
        );
        assert.equal(tried.length, 4);
        for (const { ms } of tried) assert.ok(ms !== undefined, "none was found");
      },
      { timeoutMs: 120_000 },
    );

  test(
    "the row would see it: where all exits are killed none is found",
    async () => {
      const none = { ...churn, peers: 10, exits: 0, tries: 2, sources: ["snapshot" as const] };
      assert.deepEqual(await runSimulatedChurn(none, signal, () => undefined), [{}, {}]);
    },
    { timeoutMs: 120_000 },
  );

  test(
    "real peers in processes of their own",
    async () => {
      const sources = choices[0]?.sources ?? [];
      const tried = await runRealChurn({ ...churn, withinMs: 4_000, peers: 8, exits: 5, tries: 3, sources }, signal, () => undefined);
      assert.equal(tried.length, 3);
      for (const { ms } of tried) assert.ok(ms !== undefined, "none was found");
    },
    { timeoutMs: 240_000 },
  );
});
