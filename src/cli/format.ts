import { stripVTControlCharacters } from "node:util";
import { formatAmount, type Unit } from "../lib/units.ts";

/** Commands write for 80 columns and no more, however wide the terminal is. */
export const maxWidth = 80;

/**
 * Text from elsewhere (offers, RPC errors), safe to print: control characters and those that turn the direction of writing
 * around could repaint the terminal.
 */
export const printable = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it takes out
  stripVTControlCharacters(text).replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "?");

/** Cut to `width`, with an ellipsis where something is missing. */
export const fit = (text: string, width: number): string => (text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`);

export type Column<Row> = {
  title: string;
  cell(row: Row): string;
  right?: boolean;
  /** is cut first when the line gets too long */
  flexible?: boolean;
};

/** Rows in borderless columns under their titles, two spaces apart, within `maxWidth`. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const cells = [columns.map((column) => column.title), ...rows.map((row) => columns.map((column) => printable(column.cell(row))))];
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => line[index]?.length ?? 0)));
  const over = widths.reduce((sum, width) => sum + width + 2, -2) - maxWidth;
  const flexible = columns.findIndex((column) => column.flexible);
  if (over > 0 && flexible >= 0) widths[flexible] = Math.max(6, (widths[flexible] ?? 0) - over);
  const pad = (text: string, index: number) => {
    const width = widths[index] ?? 0;
    return columns[index]?.right ? fit(text, width).padStart(width) : fit(text, width).padEnd(width);
  };
  return cells.map((line) => line.map(pad).join("  ").trimEnd()).join("\n");
}

/** Name and value, one pair a line; what is undefined is left out, a list takes a line each. */
export function facts(pairs: Record<string, string | readonly string[] | undefined>): string {
  const shown = Object.entries(pairs).filter(([, value]) => value !== undefined && value.length > 0);
  const width = Math.max(0, ...shown.map(([name]) => name.length));
  return shown
    .flatMap(([name, value]) => [value ?? ""].flat().map((line, index) => `${(index === 0 ? name : "").padEnd(width)}  ${printable(line)}`))
    .join("\n");
}

/** The end of a peer id is what tells peers apart: all secp256k1 ids begin alike. `connect` takes it as well. */
export const shortPeer = (peer: string): string => `…${peer.slice(-8)}`;

/** Without its unit, which is said once for a whole table. */
export const plainAmount = (amount: bigint, unit: Unit, digits?: number): string => formatAmount(amount, unit, digits).replace(/ .*/, "");

/** JSON of anything the API gives out: amounts as decimal strings. */
export const toJson = (value: unknown): string =>
  JSON.stringify(value, (_, member) => (typeof member === "bigint" ? member.toString() : member));
