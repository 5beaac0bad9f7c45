import type { CommandName } from "../commands.ts";
import { MystError } from "../lib/errors.ts";
import type { OptionRow } from "../option-kinds.ts";
import { camel, optionsOf, type Settings, sectionOf, variableOf } from "../options.ts";
import type { ConfigFile } from "./config-file.ts";
import { defaultAmount, type Environment, parseValue } from "./values.ts";

/** As commander hands them over: text, several texts, or true; under the option's name. */
export type Flags = Record<string, string | string[] | boolean | undefined>;
export type Source = "flag" | "env" | "config" | "default";

type Written = { texts: string[]; source: Source; name: string; directory: string };

/** several values in one text */
const split = (text: string): string[] => text.split(",").map((part) => part.trim());

const empty = { flag: false, list: [] as never[] };

function written(row: OptionRow, flags: Flags, env: Environment, config: ConfigFile, directory: string): Written | undefined {
  const flag = flags[row.name];
  if (flag !== undefined) {
    const texts = [flag].flat().map(String);
    return { texts: row.list ? texts.flatMap(split) : texts, source: "flag", name: `--${row.name}`, directory };
  }
  const variable = variableOf(row);
  const value = variable === undefined ? undefined : env[variable];
  if (variable !== undefined && value !== undefined && value !== "") {
    const texts = row.list ? split(value) : [value];
    return { texts, source: "env", name: variable, directory };
  }
  const section = sectionOf(row);
  const entry =
    section === undefined ? config.values[row.name] : (config.values[section] as Record<string, unknown> | undefined)?.[row.name];
  if (entry === undefined || row.once) return undefined;
  const name = `${section === undefined ? "" : `${section}.`}${row.name} in ${config.path}`;
  return { texts: [entry].flat().map(String), source: "config", name, directory: config.directory };
}

function value(row: OptionRow, at: Written, env: Environment): unknown {
  const origin = { name: at.name, directory: at.directory, env, ...(row.choices && { choices: row.choices }) };
  try {
    const values = at.texts.map((text) => parseValue(row.kind, text, origin));
    return row.list ? values : values[0];
  } catch (error) {
    if (at.source === "flag" || !(error instanceof MystError)) throw error;
    // what is wrong is known best by its own code and text; where it stands is what a person needs to know on top
    const message = error.message.startsWith(at.name) ? error.message : `${at.name}: ${error.message}`;
    const code = at.source === "config" ? "BAD_CONFIG_FILE" : error.code;
    throw new MystError(code, message, { ...(error.hint && { hint: error.hint }), cause: error });
  }
}

function fallback(row: OptionRow, env: Environment, directory: string): unknown {
  if (row.default === undefined) return row.list ? empty.list : row.kind === "flag" ? empty.flag : undefined;
  if (row.kind === "amount") return defaultAmount(row.default);
  const parsed = parseValue(row.kind, row.default, { name: row.name, directory, env, ...(row.choices && { choices: row.choices }) });
  return row.list ? [parsed] : parsed;
}

/**
 * A value for each option of `command`: flag > environment > config file > default. Relative paths start from `directory`,
 * those of the config file from its own.
 * @throws BAD_VALUE, BAD_COUNTRY, BAD_AMOUNT, BAD_ADDRESS; BAD_CONFIG_FILE for the same within the config file
 */
export function resolveSettings<C extends CommandName>(
  command: C,
  given: { flags: Flags; env: Environment; config: ConfigFile; directory: string },
): { settings: Settings<C>; sources: Record<string, Source> } {
  const settings: Record<string, unknown> = {};
  const sources: Record<string, Source> = {};
  for (const row of optionsOf(command)) {
    const at = written(row, given.flags, given.env, given.config, given.directory);
    settings[camel(row.name)] = at ? value(row, at, given.env) : fallback(row, given.env, given.directory);
    sources[camel(row.name)] = at?.source ?? "default";
  }
  return { settings: settings as Settings<C>, sources };
}
