import { cp, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Level } from "level";
import { requireSound } from "./checksums.ts";
import { storeError } from "./errors.ts";
import { type Database, type Doubt, examine, requireCurrent } from "./standing.ts";
import { type Table, tableIn } from "./table.ts";

export type Inspected = { entries: number; doubt: Doubt | undefined };

/**
 * Looks at the database of a data directory that no node runs on, and changes nothing: to open it is to repair it, so a copy is opened.
 * @param use reads what it is interested in
 * @returns undefined where there is none @throws STORE_CORRUPT and the other errors of `openStore`
 */
export async function inspectStore<T>(
  dataDir: string,
  use: (store: { table(name: string): Table }) => Promise<T>,
): Promise<(Inspected & { found: T }) | undefined> {
  const directory = join(dataDir, "db");
  const copy = await mkdtemp(join(tmpdir(), "mystnode-look-"));
  let level: Database | undefined;
  try {
    const files = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw error;
    });
    if (files.length === 0) return undefined;
    await requireCurrent(dataDir, directory);
    await requireSound(dataDir, directory);
    await cp(directory, join(copy, "db"), { recursive: true });
    level = new Level<string, Uint8Array>(join(copy, "db"), { keyEncoding: "utf8", valueEncoding: "view" });
    await level.open();
    const opened = level;
    const { contents, standing } = await examine(opened, dataDir, directory);
    const found = await use({ table: (name) => tableIn(opened, dataDir, name) });
    return { entries: contents.entries(), doubt: standing?.doubt, found };
  } catch (cause) {
    throw storeError(dataDir, cause);
  } finally {
    await level?.close().catch(() => undefined);
    await rm(copy, { recursive: true, force: true });
  }
}
