import assert from "node:assert/strict";
import { describe } from "../support/harness.ts";
import { attacks, shareOf } from "./eclipse.ts";
import { runSimulatedEclipse } from "./support/eclipse/simulated.ts";

const size = { honest: 8, sybils: 32, exits: 4, grind: 500, tries: 4 };
const { signal } = new AbortController();

describe("fault/eclipse: Sybils that are there first", (test) => {
  for (const { name, ...attack } of attacks)
    test(
      `${name}: an honest exit is found, where one of three bootstrap peers is honest`,
      async () => {
        const tried = await runSimulatedEclipse({ ...size, ...attack }, signal, () => undefined);
        assert.equal(shareOf(tried), 1);
        if (!attack.bonded)
          assert.ok(
            tried.every(({ sybils }) => sybils === 0),
            "Sybils without a bond are offered",
          );
      },
      { timeoutMs: 120_000 },
    );

  test(
    "the row would see it: where none is honest no honest exit is found",
    async () => {
      const tried = await runSimulatedEclipse({ ...size, bonded: true, spread: true, allBootstrapsBad: true }, signal, () => undefined);
      assert.equal(shareOf(tried), 0);
      assert.ok(tried.every(({ sybils }) => sybils > 0));
    },
    { timeoutMs: 120_000 },
  );
});
