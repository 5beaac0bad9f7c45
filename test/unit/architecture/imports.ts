import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";

export const root = join(import.meta.dirname, "..", "..", "..");
const source = join(root, "src");

/** `kind`: "value" is loaded with the file, "type" never, "lazy" when an import() is reached. */
export type Import = { from: string; to: string; kind: "value" | "type" | "lazy" };

/** All source files, relative to src, with /. */
export const sourceFiles = (): string[] =>
  readdirSync(source, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => file.split(sep).join("/"))
    .sort();

const pattern =
  /^\s*(?:import|export)\s+(type\s)?(?:[^"';]*?\sfrom\s+)?"([^"]+)"|\bimport\(\s*"([^"]+)"\s*\)|\bnew URL\(\s*"(\.[^"]+\.ts)"/gm;

/** The imports that a text makes; `to` as written. */
export function importsOf(text: string): Omit<Import, "from">[] {
  const code = text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
  return [...code.matchAll(pattern)].map(([, type, eager, lazy, url]) => {
    if (eager !== undefined) return { to: eager, kind: type ? "type" : "value" };
    return { to: lazy ?? url ?? "", kind: "lazy" };
  });
}

/** Every import in src; those of its own files are relative to src. */
export function allImports(): Import[] {
  return sourceFiles().flatMap((from) =>
    importsOf(readFileSync(join(source, from), "utf8")).map(({ to, kind }) => {
      const target = to.startsWith(".")
        ? relative(source, join(source, dirname(from), to))
            .split(sep)
            .join("/")
        : to;
      return { from, to: target, kind };
    }),
  );
}

/** The row of ARCHITECTURE.md that a source file belongs to. */
export function partOf(file: string): string {
  const part = (file.includes("/") ? file.slice(0, file.indexOf("/")) : file).replace(/\.ts$/, "");
  return ({ commands: "options", "option-kinds": "options", "node-version": "index" } as Record<string, string>)[part] ?? part;
}

/** part -> the parts it may import, from the table in ARCHITECTURE.md. */
export function allowedImports(): Map<string, string[]> {
  const rows = readFileSync(join(root, "ARCHITECTURE.md"), "utf8").matchAll(/^\| `(\w+)` \|(?:[^|]*\|){2}([^|]*)\|$/gm);
  return new Map([...rows].map(([, part = "", needs = ""]) => [part, needs.split(",").flatMap((name) => name.trim() || [])]));
}

/** A circle among `edges`, as the files on it in order, or undefined. */
export function findCircle(edges: Map<string, string[]>): string[] | undefined {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    path.push(file);
    for (const next of edges.get(file) ?? []) {
      const circle = visit(next);
      if (circle) return circle;
    }
    path.pop();
    done.add(file);
    return undefined;
  };
  for (const file of edges.keys()) {
    const circle = visit(file);
    if (circle) return circle;
  }
  return undefined;
}
