import assert from "node:assert/strict";
import { describe } from "../support/harness.ts";
import { auditHistory, type Observation } from "../support/ledger-audit.ts";
import { type CrashFound, type Kill, runCrashes } from "./support/crash-run.ts";

const kills: Kill[] = [
  { victims: ["payer"], during: "download" },
  { victims: ["exit"], during: "download" },
  { victims: ["payer", "exit"], during: "download" },
  { victims: ["payer"], during: "end" },
];

describe("fault/crash: kill -9 in the middle of a session, and again", (test, { before }) => {
  let found: CrashFound;
  before(
    async () => {
      found = await runCrashes({ kills, log: () => undefined });
    },
    { timeoutMs: 300_000 },
  );

  test("nothing is signed twice, falls or is lost; what was prepaid carries over; everything promised is cleared", () => {
    assert.deepEqual(found.problems, []);
    assert.deepEqual(found.faults, []);
    assert.equal(
      Object.values(found.tried).reduce((sum, count) => sum + count, 0),
      kills.length,
    );
  });

  test("the history holds all that it is judged by, and the same history with a fault in it does not pass", () => {
    const { history } = found;
    for (const where of ["signed", "stored", "held", "acknowledged", "claimed", "telling"])
      assert.ok(
        history.some((seen) => seen.where === where),
        `nothing was ${where}`,
      );
    const kindsOf = (forged: readonly Observation[]) => new Set(auditHistory(forged).map(({ kind }) => kind));
    const signed = history.find((seen) => seen.where === "signed");
    const held = history.findLast((seen) => seen.where === "held");
    assert.ok(signed && held);
    assert.ok(kindsOf([...history, { ...signed, total: signed.total + 1n }]).has("signed twice"));
    assert.ok(kindsOf([...history, { ...held, consumed: held.consumed - 1n }]).has("amount fell"));
    assert.ok(kindsOf([...history, { ...held, cumulative: held.cumulative - 1n }]).has("promise lost"));
  });
});
