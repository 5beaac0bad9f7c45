import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as library from "../../../src/index.ts";
import { describe } from "../../support/harness.ts";
import { root } from "./imports.ts";

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** What users of the package may count on: a name that goes or changes is a breaking change, and belongs in CHANGELOG.md. */
const names = [
  "GiB",
  "MiB",
  "MystError",
  "createNode",
  "formatAmount",
  "hourMs",
  "isMystError",
  "networkText",
  "parseAmount",
  "parseNetwork",
  "readNetworkFile",
  "silentLogger",
  "version",
];

describe("architecture: what the package exports", (test) => {
  test("the library exports these names", () => {
    assert.deepEqual(Object.keys(library).sort(), names);
  });

  test("package.json exports the library and the devnet, compiled, each from a source that is there", () => {
    assert.deepEqual(Object.keys(manifest.exports), [".", "./devnet", "./package.json"]);
    for (const entry of [manifest.exports["."], manifest.exports["./devnet"]]) {
      const source = entry.default.replace("./dist/", "src/").replace(/\.js$/, ".ts");
      assert.ok(existsSync(join(root, source)), source);
      assert.equal(entry.types, entry.default.replace(/\.js$/, ".d.ts"));
    }
  });

  test("its version is the one that the library tells", () => {
    assert.equal(library.version, manifest.version);
  });

  test("nothing but the program, its compiled code and the change log is published", () => {
    assert.deepEqual(manifest.files, ["bin", "dist", "CHANGELOG.md"]);
  });
});
