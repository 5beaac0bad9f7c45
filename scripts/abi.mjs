#!/usr/bin/env node
// Writes src/chain/abi/*.ts, the ABI and the bytecode of each contract as TypeScript sees them, from a fresh build: users need no forge.
// --check: writes nothing, ends with 1 when a file is not what would be written.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const check = process.argv.includes("--check");
const contracts = [
  { name: "MystClearing", file: "myst-clearing.ts", prefix: "mystClearing" },
  { name: "TestToken", file: "test-token.ts", prefix: "testToken" },
];

const text = ({ name, prefix }) => {
  const { abi, bytecode } = JSON.parse(readFileSync(join(root, "out", `${name}.sol`, `${name}.json`), "utf8"));
  const items = abi.map((item) => `  ${JSON.stringify(item, (key, value) => (key === "internalType" ? undefined : value))},\n`).join("");
  return [
    `// Made by scripts/abi.mjs from contracts/src/${name}.sol: do not edit.\n`,
    `export const ${prefix}Abi = [\n${items}] as const;\n`,
    "/** what deploys it, without the constructor's arguments */",
    `export const ${prefix}Bytecode = "${bytecode.object}" as const;\n`,
  ].join("\n");
};

const built = spawnSync(process.execPath, [join(root, "scripts", "forge.mjs"), "build", "--skip", "test", "--quiet"], { stdio: "inherit" });
if (built.status !== 0) process.exit(built.status ?? 1);

const directory = join(root, "src", "chain", "abi");
mkdirSync(directory, { recursive: true });
for (const contract of contracts) {
  const file = join(directory, contract.file);
  const wanted = text(contract);
  let present = "";
  try {
    present = readFileSync(file, "utf8");
  } catch {
    // not there yet
  }
  if (present === wanted) continue;
  if (!check) writeFileSync(file, wanted);
  else {
    console.error(`src/chain/abi/${contract.file} is not what contracts/src makes: run 'node scripts/abi.mjs'`);
    process.exitCode = 1;
  }
}
