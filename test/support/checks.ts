import { type Outcome, type Ran, runCommand } from "./run-file.ts";

/** What `npm test` looks at beside the test files: each is a command that exits non-zero where it finds fault. */
type Check = { name: string; run(root: string): Promise<Outcome> };

const limitMs = 300_000;

const check = (name: string, command: string[], countTests: (ran: Ran) => number = () => 1): Check => ({
  name,
  run: async (root) => {
    const ran = await runCommand(command, { cwd: root, limitMs });
    const failed = ran.status === 0 && ran.problems.length === 0 ? 0 : 1;
    const passed = failed ? 0 : countTests(ran);
    const problems = [...ran.problems];
    if (failed) problems.push(`'${command.join(" ")}' ended with status ${ran.status}`);
    if (!failed && passed === 0) problems.push("it ran no test");
    return {
      name,
      count: { passed, failed: failed || (passed === 0 ? 1 : 0), skipped: 0 },
      ms: ran.ms,
      output: ran.output,
      problems,
    };
  },
});

const forgeTests = ({ output }: Ran): number => Number(/^Ran \d+ test suites? in .*: (\d+) tests passed, 0 failed/m.exec(output)?.[1] ?? 0);

const mutantsCaught = ({ output }: Ran): number => Number(/^(\d+) of \d+ mutants caught$/m.exec(output)?.[1] ?? 0);

/** In this order: the ABI is checked against what forge has compiled. */
export const checks: Check[] = [
  check("types", ["node_modules/.bin/tsc", "-p", "."]),
  check("format", ["node_modules/.bin/biome", "ci", "--colors=off"]),
  check("contracts", ["env", "FOUNDRY_PROFILE=ci", process.execPath, "scripts/forge.mjs", "test"], forgeTests),
  check("mutants", [process.execPath, "scripts/mutants.mjs"], mutantsCaught),
  check("coverage", [process.execPath, "scripts/coverage.mjs"]),
  check("abi", [process.execPath, "scripts/abi.mjs", "--check"]),
  check("vectors", [process.execPath, "scripts/vectors.mjs", "--check"]),
  check("docs", [process.execPath, "scripts/cli-docs.mjs", "--check"]),
];
