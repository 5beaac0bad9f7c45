#!/usr/bin/env node
// Prints which part of contracts/src the directed tests run through, and ends with 1 where it is less than 98 % of the lines or of the branches. The
// invariants do not count: they reach a line without saying what it should do.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const leastPercent = 98;
const root = dirname(dirname(fileURLToPath(import.meta.url)));
// built without the optimizer: what the other checks use stays as it is
const directory = mkdtempSync(join(tmpdir(), "mystnode-coverage-"));
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));

const args = [
  "coverage",
  "--no-match-contract",
  "InvariantTest|GasTest",
  "--no-match-coverage",
  "contracts/test|node_modules",
  "--report",
  "summary",
];
const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, "scripts", "forge.mjs"), ...args], {
  cwd: root,
  encoding: "utf8",
  maxBuffer: 2 ** 26,
  env: {
    ...process.env,
    FORGE_SNAPSHOT_EMIT: "false",
    FOUNDRY_OUT: join(directory, "out"),
    FOUNDRY_CACHE_PATH: join(directory, "cache"),
  },
});
const rows = stdout.split("\n").filter((line) => /^\| (contracts\/src|Total)/.test(line));
console.log(rows.join("\n"));
const percents = (row) =>
  [...row.matchAll(/(\d+\.\d+)% \((\d+)\/(\d+)\)/g)].map(([, percent, , of]) => (of === "0" ? 100 : Number(percent)));
const total = rows.at(-1);
if (status !== 0 || !total?.startsWith("| Total")) {
  console.error(`${stdout}${stderr}\nforge could not measure the coverage`);
  process.exitCode = 1;
} else {
  const [lines, , branches] = percents(total);
  if (!(lines >= leastPercent && branches >= leastPercent)) {
    console.error(
      `contracts/src is covered to ${lines} % of its lines and ${branches} % of its branches: at least ${leastPercent} % are wanted of each`,
    );
    process.exitCode = 1;
  }
}
