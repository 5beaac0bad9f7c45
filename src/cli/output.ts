import type { Writable } from "node:stream";
import { styleText } from "node:util";
import { errorBody } from "../api/error-body.ts";
import { isMystError, type MystError } from "../lib/errors.ts";
import { fit, maxWidth, printable, toJson } from "./format.ts";

type Terminal = Writable & { isTTY?: boolean; columns?: number };
type Style = "bold" | "dim" | "green" | "yellow" | "red";

/** Where a command says things: results to standard output, what is going on to standard error. */
export type Output = {
  json: boolean;
  color: boolean;
  /** results for a person; dropped with --json */
  print(text: string): void;
  /** the result for programs, one line; `v: 1` is put in front. Dropped without --json */
  object(value: object): void;
  /** one line of what is going on; dropped with --quiet */
  progress(line: string): void;
  /** as progress, also with --quiet */
  warn(line: string): void;
  /** a line, or several, drawn again in place, on a terminal only */
  live(text: string): void;
  /** what is live stays as it is, and the next line begins below it */
  endLive(): void;
  /** what is live goes, for something better comes in its place */
  dropLive(): void;
  /** whether live lines are shown */
  interactive: boolean;
  style(style: Style, text: string): string;
  fail(error: MystError): void;
};

export type OutputOptions = { json: boolean; quiet: boolean; color: boolean; stdout: Terminal; stderr: Terminal };

/** How many rows a drawn text takes up now: a terminal that got narrower has wrapped it. */
const rowsOf = (length: number, columns: number): number => Math.max(1, Math.ceil(length / Math.max(1, columns)));

export function createOutput({ json, quiet, color, stdout, stderr }: OutputOptions): Output {
  /** lengths of the lines that stand there */
  let drawn: number[] = [];
  let current: string | undefined;
  const interactive = Boolean(stderr.isTTY) && !quiet && !json;
  const columns = () => stderr.columns ?? maxWidth;
  const style = (name: Style, text: string) => (color ? styleText(name, text, { stream: stderr }) : text);
  const clear = () => {
    if (drawn.length === 0) return;
    const up = drawn.reduce((rows, length) => rows + rowsOf(length, columns()), 0) - 1;
    stderr.write(`\r${up > 0 ? `\u001b[${up}A` : ""}\u001b[J`);
    drawn = [];
  };
  const draw = () => {
    if (current === undefined) return;
    clear();
    const lines = current.split("\n").map((line) => fit(line, Math.min(maxWidth, columns()) - 1));
    stderr.write(lines.join("\n"));
    drawn = lines.map(({ length }) => length);
  };
  const line = (text: string) => {
    clear();
    stderr.write(`${text}\n`);
    draw();
  };
  if (interactive) stderr.on("resize", draw);
  return {
    json,
    color,
    interactive,
    style,
    print: (text) => {
      if (json) return;
      clear();
      stdout.write(`${text}\n`);
      draw();
    },
    object: (value) => {
      if (json) stdout.write(`${toJson({ v: 1, ...value })}\n`);
    },
    progress: (text) => {
      if (!quiet) line(text);
    },
    warn: line,
    live: (text) => {
      if (!interactive) return;
      current = text.split("\n").map(printable).join("\n");
      draw();
    },
    endLive: () => {
      if (drawn.length > 0) stderr.write("\n");
      drawn = [];
      current = undefined;
      stderr.off("resize", draw);
    },
    dropLive: () => {
      clear();
      current = undefined;
      stderr.off("resize", draw);
    },
    fail: (error) => {
      if (json) stdout.write(`${toJson(errorBody(error))}\n`);
      line(`${style("red", "error")} [${error.code}] ${printable(error.message)}`);
      if (error.hint) line(`  hint: ${printable(error.hint)}`);
    },
  };
}

/** The causes of an error, one a line, for --log-level debug. */
export function causes(error: unknown): string[] {
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause === undefined) return isMystError(error, "INTERNAL") ? [String(error.stack)] : [];
  return [cause instanceof Error ? (cause.stack ?? cause.message) : String(cause), ...causes(cause)];
}
