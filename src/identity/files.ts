import { randomBytes } from "node:crypto";
import { link, mkdir, open, readFile, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { MystError } from "../lib/errors.ts";

/**
 * Writes a file that only its owner may read, whole or not at all, and on disk when it resolves; its directory is made (0700).
 * @returns false when there is one already: it stays as it is
 * @throws DATA_DIR_UNUSABLE
 */
export async function writeNew(path: string, content: string): Promise<boolean> {
  const directory = dirname(path);
  const temporary = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await writeSynced(temporary, content);
    try {
      // Unlike rename, link never takes the place of what another process has put there meanwhile.
      await link(temporary, path);
    } finally {
      await unlink(temporary);
    }
    await syncDirectory(directory);
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw unusable(path, "write", cause);
  }
}

/** @returns undefined when there is none. @throws DATA_DIR_UNUSABLE */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw unusable(path, "read", cause);
  }
}

async function writeSynced(path: string, content: string): Promise<void> {
  await using file = await open(path, "wx", 0o600);
  await file.writeFile(content);
  await file.sync();
}

/** What was made or renamed in it is on disk when this resolves. */
export async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, "r");
  await directory.sync();
}

const unusable = (path: string, what: "read" | "write", cause: unknown) =>
  new MystError("DATA_DIR_UNUSABLE", `cannot ${what} ${path}`, { hint: "check that you own it and may write to it", cause });
