import { createHash } from "node:crypto";
import { appendFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** What the runs of a row have found so far, on disk if so wished: a row that was broken off goes on where it was. */
export type Recorded = {
  /**
   * Does `once` for each of `runs`, but for those that are recorded, and returns all their results in order. Ends early when the signal
   * aborts; what a run found that was broken off so does not count. A result is plain JSON.
   */
  each<T>(kind: string, runs: number, signal: AbortSignal, once: (run: number) => Promise<T>): Promise<T[]>;
};

type Line = { kind: string; run: number; result: unknown };
type Header = { v: 1; row: string; sources: string };

/**
 * Opens the results in `file`, or begins them; without one nothing is kept.
 * @param row its name, with whatever else a result depends on
 * @throws when the file is of another row, or of other sources: their results prove nothing about these
 */
export function openRecorded(file: string | undefined, row: string): Recorded {
  const known = new Map<string, unknown>();
  if (file !== undefined) {
    const header: Header = { v: 1, row, sources: sourcesDigest() };
    if (existsSync(file)) for (const { kind, run, result } of readLines(file, header)) known.set(`${kind}/${run}`, result);
    else writeFileSync(file, `${JSON.stringify(header)}\n`);
  }
  return {
    each: async (kind, runs, signal, once) => {
      type Result = Awaited<ReturnType<typeof once>>;
      const results: Result[] = [];
      for (let run = 0; run < runs && !signal.aborted; run += 1) {
        const key = `${kind}/${run}`;
        if (known.has(key)) {
          results.push(known.get(key) as Result);
          continue;
        }
        const result = await once(run);
        if (signal.aborted) break;
        results.push(result);
        if (file !== undefined) appendFileSync(file, `${JSON.stringify({ kind, run, result } satisfies Line)}\n`);
      }
      return results;
    },
  };
}

function readLines(file: string, header: Header): Line[] {
  const [first = "", ...rest] = readFileSync(file, "utf8").split("\n");
  const other = (what: string) => new Error(`${file} has the results of ${what}: name another file, or remove it`);
  const found = parsed(first) as Partial<Header> | undefined;
  if (found?.v !== 1) throw other("something else");
  if (found.row !== header.row) throw other(`'${found.row}'`);
  if (found.sources !== header.sources) throw other("other sources");
  const lines = rest.map(parsed).filter((line) => line !== undefined);
  // what a kill has left half written is done again, on a line of its own
  writeFileSync(file, [header, ...lines].map((line) => `${JSON.stringify(line)}\n`).join(""));
  return lines as Line[];
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

const root = join(import.meta.dirname, "..", "..");

/** Of all that may change what a run finds. */
function sourcesDigest(): string {
  const hash = createHash("sha256");
  for (const folder of ["src", "test", join("contracts", "src")])
    for (const path of (readdirSync(join(root, folder), { recursive: true }) as string[]).sort())
      if (/\.(ts|sol|json)$/.test(path)) hash.update(`${folder}/${path}\0`).update(readFileSync(join(root, folder, path)));
  return hash.update(readFileSync(join(root, "package-lock.json"))).digest("hex");
}
