import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Level } from "level";
import { type Contents, createContents, type Op } from "./contents.ts";
import { damaged, storeError } from "./errors.ts";
import { readMarks } from "./mark.ts";

/** Why what is there may not be all that there ever was. */
export type Doubt = "copied" | "writes lost";

/** What each batch writes beside its own: how many there have been, what all of them come to, and which mark belongs to them. */
export type Standing = { writes: number; sum: number; born: bigint; doubt: Doubt | undefined };
const standingKey = "standing";
const doubts: (Doubt | undefined)[] = [undefined, "copied", "writes lost"];

export const standingOp = ({ writes, sum, born, doubt }: Standing): Op => {
  const value = Buffer.alloc(21);
  value.writeDoubleBE(writes, 0);
  value.writeUInt32BE(sum, 8);
  value.writeBigUInt64BE(born, 12);
  value.writeUInt8(doubts.indexOf(doubt), 20);
  return { type: "put", key: standingKey, value };
};
const readStanding = (bytes: Uint8Array): Standing | undefined => {
  const value = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (value.length !== 21) return undefined;
  return {
    writes: value.readDoubleBE(0),
    sum: value.readUInt32BE(8),
    born: value.readBigUInt64BE(12),
    doubt: doubts[value.readUInt8(20)],
  };
};

export type Database = Level<string, Uint8Array>;

/** LevelDB would begin anew where this file is missing, and throw the others away. @throws STORE_CORRUPT */
export async function requireCurrent(dataDir: string, directory: string): Promise<void> {
  const files = await readdir(directory);
  const hasLog = async (name: string) => name.endsWith(".log") && (await stat(join(directory, name))).size > 0;
  const isBegun =
    files.includes("mark") || files.some((name) => name.endsWith(".ldb")) || (await Promise.all(files.map(hasLog))).some(Boolean);
  if (isBegun && !files.includes("CURRENT")) throw damaged(dataDir, "its file CURRENT is missing");
}

/**
 * Reads all there is and holds it against what each write has left. `marks`: the directory that the database belongs to.
 * @throws STORE_CORRUPT
 */
export async function examine(
  level: Database,
  dataDir: string,
  marks: string,
): Promise<{ contents: Contents; standing: Standing | undefined }> {
  const contents = createContents();
  let standing: Standing | undefined;
  try {
    for await (const [key, value] of level.iterator()) {
      if (key !== standingKey) contents.add(key, value);
      else standing = readStanding(value);
    }
  } catch (cause) {
    throw storeError(dataDir, cause);
  }
  const seen = await readMarks(marks);
  const acknowledged = Math.max(0, ...seen.map(({ writes }) => writes));
  if (!standing && (acknowledged > 0 || contents.entries() > 0)) throw damaged(dataDir, "what it holds is not all that it held");
  if (!standing) return { contents, standing };
  if (contents.sum() !== standing.sum) throw damaged(dataDir, "what it holds is not what was written");
  const isOwn = seen.some(({ born }) => born === standing?.born);
  const doubt = standing.doubt ?? (!isOwn ? "copied" : standing.writes < acknowledged ? "writes lost" : undefined);
  return { contents, standing: { ...standing, doubt, writes: Math.max(standing.writes, acknowledged) } };
}
