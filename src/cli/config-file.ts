import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import { asMystError, MystError } from "../lib/errors.ts";
import type { OptionRow } from "../option-kinds.ts";
import { options, sectionOf } from "../options.ts";
import { suggest } from "./suggest.ts";

export type ConfigFile = { path: string; directory: string; values: Record<string, unknown> };

const one = (row: OptionRow) => {
  if (row.kind === "flag") return z.boolean();
  if (row.kind === "integer" || row.kind === "share") return z.union([z.number(), z.string()]);
  return row.choices ? z.enum(row.choices) : z.string();
};
const member = (row: OptionRow) => (row.list ? z.array(one(row)).max(100) : one(row)).optional();

/** The schema of the config file, from the option table: shared options on top, others in the section of their command. */
export function configSchema() {
  const top: Record<string, z.ZodType> = {};
  const sections: Record<string, Record<string, z.ZodType>> = {};
  for (const row of options as readonly OptionRow[]) {
    if (row.once || row.name === "config") continue;
    const section = sectionOf(row);
    if (section === undefined) top[row.name] = member(row);
    else {
      sections[section] ??= {};
      sections[section][row.name] = member(row);
    }
  }
  for (const [name, rows] of Object.entries(sections)) top[name] = z.strictObject(rows).optional();
  return z.strictObject(top);
}

type Issue = { code: string; path: PropertyKey[]; message: string; keys?: string[] };

function hintFor(issue: Issue): string {
  const shape = configSchema().shape as Record<string, z.ZodOptional<z.ZodObject>>;
  const unknown = issue.keys?.[0];
  if (unknown === undefined) return "docs/cli.md lists what may stand in it";
  const section = issue.path[0] === undefined ? undefined : shape[String(issue.path[0])]?.unwrap().shape;
  const meant = suggest(unknown, Object.keys(section ?? shape));
  return meant ? `did you mean '${meant}'?` : "docs/cli.md lists what may stand in it";
}

/**
 * Reads the config file; an absent one is empty unless `required`.
 * @throws BAD_CONFIG_FILE: names the key, and the one that was meant
 */
export function readConfigFile(path: string, required: boolean): ConfigFile {
  const directory = dirname(path);
  const bad = (why: string, hint: string, cause?: unknown) => new MystError("BAD_CONFIG_FILE", `${path}: ${why}`, { hint, cause });
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    if ((cause as { code?: string }).code === "ENOENT" && !required) return { path, directory, values: {} };
    throw bad("cannot be read", "check its path, or leave out --config", cause);
  }
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (cause) {
    throw bad(`is not JSON (${asMystError(cause).message})`, 'write an object, for example {"log-level": "info"}', cause);
  }
  const parsed = configSchema().safeParse(raw);
  if (parsed.success) return { path, directory, values: parsed.data };
  const issue = parsed.error.issues[0] as Issue;
  const where = issue.path.map(String).join(".");
  throw bad(`${where && `${where}: `}${issue.message}`, hintFor(issue));
}
