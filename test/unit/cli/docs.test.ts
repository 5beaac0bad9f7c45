import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { cliDocs } from "../../../src/cli/docs.ts";
import { exitStatus } from "../../../src/cli/exit-status.ts";
import { withHint } from "../../../src/cli/hints.ts";
import { MystError } from "../../../src/lib/errors.ts";
import { describe } from "../../support/harness.ts";

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8");

describe("cli/docs", (test) => {
  test("docs/cli.md is what the tables say; 'node scripts/cli-docs.mjs' writes it", () => {
    assert.equal(read("docs/cli.md"), cliDocs());
  });

  test("every error code there is has an exit status, and each is one of those that are told of", () => {
    const declared = [...read("src/lib/errors.ts").matchAll(/^ {2}\| "([A-Z_]+)"/gm)].map(([, code]) => code ?? "");
    assert.deepEqual(Object.keys(exitStatus).sort(), declared.sort());
    assert.equal(withHint(new MystError("PORT_IN_USE", "x")).hint?.includes("--proxy"), true);
    assert.equal(withHint(new MystError("PORT_IN_USE", "x", { hint: "own" })).hint, "own");
    for (const [code, status] of Object.entries(exitStatus)) assert.ok([1, 2, 3, 4, 5, 6, 7, 8, 130].includes(status), code);
  });
});
