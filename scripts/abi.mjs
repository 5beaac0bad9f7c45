#!/usr/bin/env node
// Writes the ABI and the bytecode of each contract as TypeScript sees them, from a fresh build: users need no forge.
// --check: writes nothing, ends with 1 when a file is not what would be written.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const check = process.argv.includes("--check");
const contracts = [
  { name: "MystClearing", from: "contracts/src", file: "src/chain/abi/myst-clearing.ts", prefix: "mystClearing" },
  { name: "TestToken", from: "contracts/src", file: "src/chain/abi/test-token.ts", prefix: "testToken" },
  { name: "PlainChannels", from: "contracts/test/support", file: "test/perf/abi/plain-channels.ts", prefix: "plainChannels" },
];

const text = ({ name, from, prefix }) => {
  const { abi, bytecode } = JSON.parse(readFileSync(join(root, "out", `${name}.sol`, `${name}.json`), "utf8"));
  const items = abi.map((item) => `  ${JSON.stringify(item, (key, value) => (key === "internalType" ? undefined : value))},\n`).join("");
  return [
    `// Made by scripts/abi.mjs from ${from}/${name}.sol: do not edit.\n`,
    `export const ${prefix}Abi = [\n${items}] as const;\n`,
    "/** what deploys it, without the constructor's arguments */",
    `export const ${prefix}Bytecode = "${bytecode.object}" as const;\n`,
  ].join("\n");
};

const built = spawnSync(process.execPath, [join(root, "scripts", "forge.mjs"), "build", "--skip", "test", "--quiet"], { stdio: "inherit" });
if (built.status !== 0) process.exit(built.status ?? 1);

for (const contract of contracts) {
  const file = join(root, contract.file);
  const wanted = text(contract);
  let present = "";
  try {
    present = readFileSync(file, "utf8");
  } catch {
    // not there yet
  }
  if (present === wanted) continue;
  if (!check) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, wanted);
  } else {
    console.error(`${contract.file} is not what ${contract.from} makes: run 'node scripts/abi.mjs'`);
    process.exitCode = 1;
  }
}
