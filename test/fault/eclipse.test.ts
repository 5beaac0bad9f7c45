import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { describe } from "../support/harness.ts";
import { enterNamespaces } from "../tunnel/backend/rig.ts";
import { attacks, shareOf } from "./eclipse.ts";
import { runRealEclipse } from "./support/eclipse/real.ts";
import { runSimulatedEclipse } from "./support/eclipse/simulated.ts";
import { takeAddresses } from "./support/own-addresses.ts";

const size = { honest: 8, sybils: 32, exits: 4, grind: 500, tries: 4 };
const { signal } = new AbortController();

const skip = enterNamespaces(fileURLToPath(import.meta.url));

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
    "real peers, each with an address of its own: an honest exit is found, and no Sybil is offered that has no bond",
    async () => {
      takeAddresses();
      const real = { ...size, honest: 3, sybils: 6, exits: 2, tries: 1, settleMs: 3_000 };
      const [found] = await runRealEclipse({ ...real, bonded: false, spread: true }, signal, () => undefined);
      assert.ok(found?.found);
      assert.equal(found.sybils, 0);
    },
    { timeoutMs: 180_000, skip },
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
