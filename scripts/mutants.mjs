#!/usr/bin/env node
// Breaks the contract in each way that contracts/mutants.mjs names, and runs the invariants against it: every mutant must fail one. What the
// invariants let pass, they do not prove. Everything happens in a copy; the unchanged contract must pass there first.
// Names of mutants, or parts of names, as arguments: only those.
import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { mutants } from "../contracts/mutants.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const limitMs = 120_000;
const wanted = process.argv.slice(2);
const chosen = mutants.filter(({ name }) => wanted.length === 0 || wanted.some((part) => name.includes(part)));
const copy = mkdtempSync(join(tmpdir(), "mystnode-mutants-"));
const running = new Set();
process.on("exit", () => rmSync(copy, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
  process.on(signal, () => {
    for (const child of running) child.kill("SIGKILL");
    process.exit(130);
  });

const directoryOf = (index) => join("contracts", "src", "mutants", String(index));

function prepare() {
  symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  cpSync(join(root, "contracts", "src"), join(copy, "contracts", "src"), { recursive: true });
  for (const part of ["invariant", "support"])
    cpSync(join(root, "contracts", "test", part), join(copy, "contracts", "test", part), { recursive: true });
  for (const file of ["forge.mjs", "solc.cjs"]) cpSync(join(root, "scripts", file), join(copy, "scripts", file));
  // a mutant may well leave something unused
  const config = readFileSync(join(root, "foundry.toml"), "utf8").replace('deny = "warnings"', 'deny = "never"');
  writeFileSync(join(copy, "foundry.toml"), config.replace("[lint]\n", "[lint]\nlint_on_build = false\n"));
  for (const [index, { name, of, replace, by }] of chosen.entries()) {
    const directory = join(copy, directoryOf(index));
    cpSync(join(root, "contracts", "src"), directory, { recursive: true });
    rmSync(join(directory, "TestToken.sol"));
    const source = readFileSync(join(directory, of), "utf8");
    if (source.split(replace).length !== 2) throw new Error(`'${name}' no longer applies: ${of} must hold this once: ${replace}`);
    writeFileSync(
      join(directory, of),
      source.replace(replace, () => by),
    );
  }
}

/** Runs forge in the copy, for at most `limitMs`. */
function forge(args, env = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(copy, "scripts", "forge.mjs"), ...args], {
      cwd: copy,
      env: { ...process.env, FOUNDRY_PROFILE: "default", ...env },
      timeout: limitMs,
      killSignal: "SIGTERM",
    });
    running.add(child);
    let output = "";
    child.stdout.on("data", (chunk) => (output += chunk));
    child.stderr.on("data", (chunk) => (output += chunk));
    child.on("error", reject);
    child.on("close", (status) => {
      running.delete(child);
      resolve({ status, output });
    });
  });
}

const campaign = (clearing, index) =>
  forge(["test", "--match-contract", "InvariantTest"], {
    CLEARING: clearing,
    FOUNDRY_INVARIANT_RUNS: "32",
    FOUNDRY_INVARIANT_SHRINK_RUN_LIMIT: "0",
    FOUNDRY_INVARIANT_FAILURE_PERSIST_DIR: join(copy, "failures", String(index)),
  });

/** The rule that was seen broken, as the invariant names it; undefined where none was. */
const brokenRule = (output) => /\[FAIL: (?:[a-z ]+: )?(\d\. .*?)(?: != )?\]/.exec(output)?.[1];

async function tryOne(index) {
  const { name } = chosen[index];
  const { output } = await campaign(`${directoryOf(index)}/MystClearing.sol:MystClearing`, index);
  const rule = brokenRule(output);
  console.log(`${rule ? "caught  " : "SURVIVED"} ${name}${rule ? `\n           ${rule}` : ""}`);
  if (!rule) console.log(output.split("\n").slice(-40).join("\n"));
  return rule !== undefined;
}

prepare();
const built = await forge(["build"]);
if (built.status !== 0) throw new Error(`the mutants do not compile\n${built.output}`);
const unchanged = await campaign("contracts/src/MystClearing.sol:MystClearing", "unchanged");
if (unchanged.status !== 0) throw new Error(`the contract itself fails\n${unchanged.output}`);
const queue = [...chosen.keys()];
let caught = 0;
const lane = async () => {
  for (let index = queue.shift(); index !== undefined; index = queue.shift()) if (await tryOne(index)) caught += 1;
};
await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, lane));
console.log(`${caught} of ${chosen.length} mutants caught`);
if (chosen.length === 0 || caught < chosen.length) process.exitCode = 1;
