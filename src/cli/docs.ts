import { type CommandName, type CommandRow, commands } from "../commands.ts";
import type { OptionRow } from "../option-kinds.ts";
import { options, optionsOf, sectionOf, variableOf } from "../options.ts";
import { exitStatus, interrupted } from "./exit-status.ts";
import { flagsOf, kindTexts } from "./parser.ts";

const plainCell = (text: string) => text.replaceAll("|", "\\|");
const row = (cells: string[]) => `| ${cells.map(plainCell).join(" | ")} |`;
const table = (titles: string[], rows: string[][]) => [row(titles), row(titles.map(() => "---")), ...rows.map(row)].join("\n");

const keyOf = (option: OptionRow) =>
  option.once || option.name === "config" ? "" : [sectionOf(option), option.name].filter(Boolean).join(".");

function optionCells(option: OptionRow): string[] {
  const notes = [option.choices && option.choices.length > 1 && option.choices.join(", "), option.list && "repeatable"].filter(Boolean);
  const code = (text: string | undefined) => (text ? `\`${text}\`` : "");
  return [
    code(`${flagsOf(option)}`),
    option.help + (notes.length > 0 ? ` (${notes.join("; ")})` : ""),
    code(option.default),
    code(variableOf(option)),
    code(keyOf(option)),
  ];
}

const optionTable = (rows: readonly OptionRow[]) =>
  table(["option", "what", "default", "variable", "in the config file"], rows.map(optionCells));

function commandSection([name, command]: [string, CommandRow]): string {
  const own = optionsOf(name as CommandName).filter((option) => option.commands !== "all");
  const words = (command.arguments ?? []).map((argument) => (argument.required ? ` <${argument.name}>` : ` [${argument.name}]`));
  const args = (command.arguments ?? []).map((argument) => `\`${argument.name}\`: ${argument.help}`);
  const parts = [`### mystnode ${name}${words.join("")}`, `${command.summary[0]?.toUpperCase()}${command.summary.slice(1)}.`, ...args];
  return [...parts, ...(own.length > 0 ? [optionTable(own)] : [])].join("\n\n");
}

function statusRows(): string[][] {
  const meanings: Record<number, string> = {
    0: "success; also: asked to stop (SIGTERM, the API) and stopped",
    1: "failure",
    2: "usage: flags, values, files that name what to do",
    3: "no node is running",
    4: "no matching exit",
    5: "funds are missing",
    6: "privileges are missing",
    7: "the way through the exit failed",
    8: "budget exhausted or too small",
    [interrupted]: "interrupted by Ctrl-C; a second one ends at once",
  };
  const codesOf = (status: number) => Object.entries(exitStatus).flatMap(([code, of]) => (of === status ? [`\`${code}\``] : []));
  return Object.entries(meanings).map(([status, meaning]) => [status, meaning, codesOf(Number(status)).join(" ")]);
}

/** docs/cli.md, from the tables of commands, options and exit statuses. */
export const cliDocs = (): string => `# Command line

Made by \`node scripts/cli-docs.mjs\` from src/commands.ts, src/options.ts and src/cli/exit-status.ts: change those.

A value comes from the flag, else from the environment variable, else from the config file, else it is the default.
The config file is JSON; what stands as \`serve.country\` below is \`{"serve": {"country": "DE"}}\` in it.
In a variable, the values of a repeatable option are separated by commas; in the config file they are an array.

Results go to standard output, progress and errors to standard error. With \`--json\` standard output is one JSON object, or one
a line for what goes on (\`connect\`, \`serve\`, \`devnet\`), each with \`"v":1\`; amounts are decimal strings in the token's base
unit; an error is \`{"v":1,"error":{"code","message","hint","meta"}}\`.

## How values are written

${table(
  ["value", "form"],
  Object.values(kindTexts).flatMap(({ metavar, form }) => (metavar === "" ? [] : [[`\`${metavar}\``, form]])),
)}

## Options of every command

${optionTable((options as readonly OptionRow[]).filter((option) => option.commands === "all"))}

## Commands

${(Object.entries(commands) as [string, CommandRow][]).map(commandSection).join("\n\n")}

## Exit statuses

${table(["status", "meaning", "codes"], statusRows())}
`;
