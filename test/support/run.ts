import { readdirSync, statSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { parseArgs } from "node:util";
import { checks } from "./checks.ts";
import type { Count } from "./count.ts";
import { endAll, type Outcome, runFile } from "./run-file.ts";

/**
 * node test/support/run.ts [--limit-s N] [kind | path | part of a path]...
 *
 * Runs each test file as a process of its own; with no argument everything there is, and the checks. Ends with
 * `N passed, N failed` and exits 1 where anything failed, or where nothing ran.
 */
const kinds = ["unit", "chain", "net", "tunnel", "e2e", "fault", "perf", "support"];
const limitsMs: Record<string, number> = { unit: 60_000, chain: 180_000, net: 180_000, fault: 600_000, e2e: 900_000 };
const root = join(import.meta.dirname, "..", "..");

const { values, positionals } = parseArgs({ allowPositionals: true, options: { "limit-s": { type: "string" } } });
const started = performance.now();
const total: Count = { passed: 0, failed: 0, skipped: 0 };
const failures: Outcome[] = [];

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.on(signal, () => {
    endAll();
    process.exit(130);
  });

const everything = positionals.length === 0;
const files = allFiles().filter((file) => everything || positionals.some((wanted) => matches(file, wanted)));
const chosenChecks = checks.filter(({ name }) => everything || positionals.includes("checks") || positionals.includes(name));
for (const wanted of positionals)
  if (wanted !== "checks" && !checks.some(({ name }) => name === wanted) && !files.some((file) => matches(file, wanted)))
    report({ name: wanted, count: { passed: 0, failed: 1, skipped: 0 }, ms: 0, output: "", problems: ["no test file matches"] });

// A devnet looks at the whole machine before and after, a measurement needs it; all others wait for each other more than they compute.
const needsAll = (file: string) => kindOf(file) === "perf" || file.includes("devnet");
const [alone, shared] = [files.filter(needsAll), files.filter((file) => !needsAll(file))];
const looks = async () => {
  for (const check of chosenChecks) report(await check.run(root));
};
// The checks follow from each other and take what processor there is; only unit tests run beside them.
const [unit, others] = [shared.filter((file) => kindOf(file) === "unit"), shared.filter((file) => kindOf(file) !== "unit")];
await Promise.all([looks(), inParallel(chosenChecks.length > 0 ? 1 : 2, unit, run)]);
await inParallel(2, others, run);
await inParallel(1, alone, run);

for (const { name, output, problems } of failures) console.log(["", `==== ${name}`, output.trimEnd(), ...problems].join("\n"));
if (failures.length > 0) console.log(`\nfailed: ${failures.map(({ name }) => name).join(", ")}`);
if (total.passed + total.failed === 0) {
  console.log("no test ran");
  total.failed += 1;
}
console.log(`\nin ${((performance.now() - started) / 1000).toFixed(1)} s`);
console.log(`${total.passed} passed, ${total.failed} failed${total.skipped ? `, ${total.skipped} skipped` : ""}`);
process.exitCode = total.failed > 0 ? 1 : 0;

async function run(file: string): Promise<void> {
  const limitMs = values["limit-s"] ? Number(values["limit-s"]) * 1000 : (limitsMs[kindOf(file)] ?? 180_000);
  report(await runFile(root, file, limitMs));
}

function report(outcome: Outcome): void {
  const { passed, failed, skipped } = outcome.count;
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
  if (failed > 0) failures.push(outcome);
  const counts = `${passed} passed${failed ? `, ${failed} failed` : ""}${skipped ? `, ${skipped} skipped` : ""}`;
  console.log(`${failed ? "FAIL" : "ok  "} ${outcome.name}  ${counts}  ${(outcome.ms / 1000).toFixed(1)} s`);
}

async function inParallel<T>(lanes: number, items: T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const lane = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

/** Test files relative to the root, by kind in the order of `kinds`. */
function allFiles(): string[] {
  return kinds.flatMap((kind) => {
    const directory = join(root, "test", kind);
    if (!statSync(directory, { throwIfNoEntry: false })) return [];
    const found = readdirSync(directory, { recursive: true, encoding: "utf8" });
    return found
      .filter((name) => name.endsWith(".test.ts"))
      .map((name) => relative(root, join(directory, name)))
      .sort();
  });
}

function kindOf(file: string): string {
  return file.split(sep)[1] ?? "";
}

function matches(file: string, wanted: string): boolean {
  return kinds.includes(wanted) ? kindOf(file) === wanted : file.includes(wanted.replace(/^\.\//, ""));
}
