#!/usr/bin/env node
// Runs Foundry's forge with our arguments and ends with its exit status. The launcher in the npm package always ends with 0
// (foundry-rs/foundry#14781), so a failed test would pass for a good one.
import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { createRequire } from "node:module";
import { constants as osConstants } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const root = dirname(dirname(fileURLToPath(import.meta.url)));
const name = process.platform === "win32" ? "forge.exe" : "forge";

function bundled() {
  const arch = process.arch === "x64" ? "amd64" : process.arch;
  try {
    return [require.resolve(`@foundry-rs/forge-${process.platform}-${arch}/bin/${name}`)];
  } catch {
    return [];
  }
}

// not the node_modules/.bin directories: their forge is the launcher
const path = (process.env.PATH ?? "").split(delimiter).filter((directory) => directory && !directory.includes("node_modules"));
const candidates = [...bundled(), ...(process.env.FORGE ? [process.env.FORGE] : []), ...path.map((directory) => join(directory, name))];
const forge = candidates.find((file) => {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
});

if (forge === undefined) {
  console.error("forge is not installed: run 'npm install', or set FORGE to the path of Foundry's forge");
  process.exitCode = 127;
} else {
  // foundry.toml names the compiler relative to the directory forge runs in
  const result = spawnSync(forge, process.argv.slice(2), { cwd: root, stdio: "inherit" });
  if (result.error) console.error(`cannot run ${forge}: ${result.error.message}`);
  const signal = result.signal ? 128 + (osConstants.signals[result.signal] ?? 0) : 1;
  process.exitCode = result.status ?? signal;
}
