import { cp, link, mkdir, open, readdir, rm, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import { Level } from "level";

/** A database's directory as its disk has it, for a test to damage: unlike a copy, it is not known for one. */
export async function twinOf(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const name of await readdir(from))
    if (name.startsWith("mark")) await link(join(from, name), join(to, name));
    else await cp(join(from, name), join(to, name));
}

/**
 * A copy that passes for what it is a copy of, as one does that a file system or a hypervisor has made and brought back as a whole:
 * its mark says when the copy's own was made.
 */
export async function passOff(directory: string): Promise<void> {
  const { birthtimeNs } = await stat(join(directory, "mark"), { bigint: true });
  const level = new Level<string, Uint8Array>(directory, { valueEncoding: "view" });
  const standing = Buffer.from((await level.get("standing")) ?? []);
  standing.writeBigUInt64BE(birthtimeNs, 12);
  await level.put("standing", standing, { sync: true });
  await level.close();
}

/** Files of a database by what they are, as their names have it. */
export type Part = "log" | "table" | "manifest" | "current" | "mark";
const partOf = (name: string): Part | undefined =>
  name.endsWith(".log")
    ? "log"
    : name.endsWith(".ldb")
      ? "table"
      : name.startsWith("MANIFEST")
        ? "manifest"
        : name === "CURRENT"
          ? "current"
          : name === "mark"
            ? "mark"
            : undefined;

/** Those with anything in them. */
export async function filesOf(directory: string, part: Part): Promise<string[]> {
  const files = (await readdir(directory)).filter((name) => partOf(name) === part).map((name) => join(directory, name));
  const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size));
  return files.filter((_, i) => (sizes[i] ?? 0) > 0).sort();
}

export type Harm = "cut off" | "bits flipped" | "zeroed" | "gone";

/** Harms one file; `at` in [0, 1) says where. */
export async function harm(file: string, how: Harm, at: number): Promise<void> {
  const { size } = await stat(file);
  const offset = Math.floor(at * size);
  if (how === "gone") return rm(file);
  if (how === "cut off") return truncate(file, offset);
  await using handle = await open(file, "r+");
  const length = how === "zeroed" ? Math.min(size - offset, 512) : 1;
  const { buffer } = await handle.read(Buffer.alloc(length), 0, length, offset);
  if (how === "zeroed") buffer.fill(0);
  else buffer[0] = (buffer[0] ?? 0) ^ (1 << Math.floor((at * 1e6) % 8));
  await handle.write(buffer, 0, length, offset);
}
