// Writes docs/cli.md from the tables in src; with --check it only says whether they agree, by its exit status.
import { readFileSync, writeFileSync } from "node:fs";
import { cliDocs } from "../src/cli/docs.ts";

const file = new URL("../docs/cli.md", import.meta.url);
if (!process.argv.includes("--check")) writeFileSync(file, cliDocs());
else if (readFileSync(file, "utf8") !== cliDocs()) {
  process.stderr.write("docs/cli.md is not what the tables say: run 'node scripts/cli-docs.mjs'\n");
  process.exitCode = 1;
}
