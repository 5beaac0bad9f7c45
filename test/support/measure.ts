import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { lateness, voidDelayMs } from "./lateness.ts";
import { openRecorded, type Recorded } from "./recorded.ts";
import { type Found, type Measurement, reportOf, tableOf } from "./report.ts";

/**
 * `NAME [--runs N] [--json] [--resume FILE] [--plot FILE]`: runs the measurement that test/<folder>/NAME.ts exports and prints what it found, as a
 * table or as one JSON object and nothing else on stdout. Exits 1 when it falls short, and 2 with the names there are on an unknown one.
 * With FILE, what each run of a row finds is written there, and a row that was broken off goes on from it. With --plot a
 * measurement that can be drawn is, into that file, as SVG.
 */
export async function measure(folder: "perf" | "fault"): Promise<void> {
  const directory = join(import.meta.dirname, "..", folder);
  const names = namesIn(directory);
  const command = folder === "perf" ? "bench" : "fault";
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { runs: { type: "string" }, json: { type: "boolean" }, resume: { type: "string" }, plot: { type: "string" } },
  });
  const [name = "", ...more] = positionals;
  const runs = values.runs === undefined ? undefined : Number(values.runs);
  if (!names.includes(name) || more.length > 0 || (runs !== undefined && !(Number.isInteger(runs) && runs > 0))) {
    console.error(
      `usage: npm run ${command} -- NAME [--runs N] [--json] [--resume FILE] [--plot FILE]\n\nNAME is one of: ${names.join(", ") || "(there is none yet)"}`,
    );
    process.exitCode = 2;
    return;
  }
  const measurement = ((await import(join(directory, `${name}.ts`))) as { default: Measurement }).default;
  const log = (line: string) => console.error(line);
  if (values.plot !== undefined && !measurement.plot) {
    log(`${name} cannot be drawn`);
    process.exitCode = 2;
    return;
  }
  log(`${name}: ${measurement.about}`);
  const { found, delayMs, isBrokenOff } = await watched(measurement, runs ?? measurement.runs, log, openRecorded(values.resume, name));
  const report = reportOf(name, found);
  if (delayMs > voidDelayMs && !measurement.blocksLoop) {
    log(`void: the event loop was late by ${Math.round(delayMs)} ms; the machine is too busy to measure on`);
    report.pass = false;
  }
  if (isBrokenOff) {
    log(`broken off${values.resume === undefined ? "" : `: the same command goes on with it, from ${values.resume}`}`);
    report.pass = false;
  }
  if (values.plot !== undefined && measurement.plot) {
    writeFileSync(values.plot, measurement.plot(found.figures));
    log(`drawn into ${values.plot}`);
  }
  console.log(values.json ? JSON.stringify(report) : tableOf(report));
  process.exitCode = report.pass ? 0 : 1;
}

async function watched(
  { run }: Measurement,
  runs: number,
  log: (line: string) => void,
  recorded: Recorded,
): Promise<{ found: Found; delayMs: number; isBrokenOff: boolean }> {
  const interrupted = new AbortController();
  process.once("SIGINT", () => interrupted.abort());
  const { signal } = interrupted;
  const { result: found, delayMs } = await lateness((ready) => run({ runs, log, ready, signal, recorded }));
  return { found, delayMs, isBrokenOff: signal.aborted };
}

/** What exports a measurement; files with a longer ending help those or test them. */
const namesIn = (directory: string): string[] => {
  try {
    return readdirSync(directory)
      .filter((file) => /^[a-z0-9-]+\.ts$/.test(file))
      .map((file) => file.slice(0, -".ts".length));
  } catch {
    return [];
  }
};
