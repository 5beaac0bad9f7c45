import type { Recorded } from "./recorded.ts";

/** One figure that a bench or a fault run found. `target` is what it must reach; without one it is only shown. */
export type Figure = {
  name: string;
  value: number;
  unit: string;
  better: "lower" | "higher";
  target?: number;
  /** a floor or a peer measured in the same run */
  beside?: { name: string; value: number };
};

/** What a run found. `tried` counts what was done, by kind: a run that tried nothing proves nothing. */
export type Found = { runs: number; failures: number; figures: Figure[]; tried: Record<string, number> };

/** The object that `--json` prints. */
export type Report = Found & { v: 1; name: string; pass: boolean };

export type RunOptions = {
  runs: number;
  /** a line of progress, to stderr */
  log(line: string): void;
  /** the set-up is done: only from here on must the event loop be on time */
  ready(): void;
  /** fires on Ctrl-C: the run then ends early with what it has found */
  signal: AbortSignal;
  /** what earlier, broken off runs have found */
  recorded: Recorded;
};

/** The default export of test/perf/NAME.ts and test/fault/NAME.ts. */
export type Measurement = {
  /** one line: what is measured, or what must hold */
  about: string;
  /** at full size; --runs N overrides it */
  runs: number;
  /** its work blocks the event loop on purpose: a long delay then does not make the run void */
  blocksLoop?: boolean;
  /** what it found as a picture, SVG */
  plot?(figures: Figure[]): string;
  run(options: RunOptions): Promise<Found>;
};

const reaches = ({ value, target, better }: Figure): boolean =>
  target === undefined || (Number.isFinite(value) && (better === "lower" ? value <= target : value >= target));

/** Passes when something was tried, nothing failed and every figure with a target reaches it. */
export function reportOf(name: string, found: Found): Report {
  const tried = Object.values(found.tried).some((count) => count > 0);
  const pass = found.runs > 0 && tried && found.failures === 0 && found.figures.every(reaches);
  return { v: 1, name, ...found, pass };
}

/** The value below which the share `q` (0..1) of `values` lies, by the nearest rank; NaN of none. */
export function percentile(values: number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
}

const short = (value: number): string => String(Number.isInteger(value) ? value : Number(value.toPrecision(4)));

/** The report in columns, for people. */
export function tableOf({ name, runs, failures, pass, figures, tried }: Report): string {
  const rows = figures.map((figure) => [
    figure.name,
    short(figure.value),
    figure.unit,
    figure.target === undefined
      ? ""
      : `${figure.better === "lower" ? "<=" : ">="} ${short(figure.target)}${reaches(figure) ? "" : "  MISSED"}`,
    figure.beside ? `${figure.beside.name} ${short(figure.beside.value)}` : "",
  ]);
  const table = [["figure", "value", "unit", "target", "beside"], ...rows];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
  const lines = table.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
  const counts = Object.entries(tried).map(([kind, count]) => `${kind} ${count}`);
  return [
    ...lines,
    "",
    `tried: ${counts.join(", ") || "nothing"}`,
    `${name}: ${runs} runs, ${failures} failures: ${pass ? "pass" : "FAIL"}`,
  ].join("\n");
}
