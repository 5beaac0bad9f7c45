import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe } from "../../support/harness.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const heavy =
  /node_modules\/(?!commander\/)|\/src\/(chain|network|discovery|payments|session|services|devnet|identity|api\/(?!error-body))\/|\/src\/node\.ts/;

function run(args: string[]): { status: number | null; modules: string[] } {
  const directory = mkdtempSync(join(tmpdir(), "mystnode-lazy-"));
  try {
    const record = join(directory, "modules");
    const env = { ...process.env, RECORD_MODULES: record, XDG_CONFIG_HOME: directory, XDG_DATA_HOME: directory };
    const preload = join(import.meta.dirname, "record-modules.mjs");
    const { status } = spawnSync(process.execPath, ["--import", preload, join(root, "bin/mystnode.js"), ...args], { env, timeout: 20_000 });
    return { status, modules: readFileSync(record, "utf8").split("\n") };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

describe("cli: what is not needed is not loaded", (test) => {
  for (const [line, expected] of [
    ["--help", 0],
    ["connect --help", 0],
    ["version", 0],
    ["connect --contry US", 2],
    ["connect --country UK", 2],
  ] as const)
    test(`'mystnode ${line}' loads no chain and no network code, and no library but the parser`, () => {
      const { status, modules } = run(line.split(" "));
      assert.equal(status, expected);
      assert.ok(
        modules.some((url) => url.endsWith("/src/cli/main.ts")),
        "the probe sees what is loaded",
      );
      assert.deepEqual(
        modules.filter((url) => heavy.test(url)),
        [],
      );
    });

  test("the probe would see them: a command that uses the chain loads them", () => {
    assert.ok(run(["status"]).modules.some((url) => heavy.test(url)));
  });
});
