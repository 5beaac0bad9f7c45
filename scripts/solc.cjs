#!/usr/bin/env node
// The compiler that forge runs: solc from npm, which needs no download. Forge asks for --version, and for --standard-json
// with the input on stdin; its other arguments (--allow-paths, --base-path) mean nothing here, since every source is in the input.
const { readFileSync } = require("node:fs");

if (process.argv.includes("--version")) {
  const { version } = require("solc/package.json");
  process.stdout.write(`solc, the solidity compiler commandline interface\nVersion: ${version}+commit.00000000.Emscripten.clang\n`);
} else if (process.argv.includes("--standard-json")) {
  const output = require("solc").compile(readFileSync(0, "utf8"));
  process.stdout.write(output);
} else {
  process.stderr.write("expected --version or --standard-json\n");
  process.exitCode = 2;
}
