import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { damaged } from "./errors.ts";

/**
 * LevelDB does not look at the checksums of its tables unless it is told to, which its binding cannot; and it ends the process where it
 * meets what makes no sense. So they are looked at before it opens. Format: doc/table_format.md of LevelDB.
 *
 * One that does not end as a table does is left to LevelDB: a crash may have left it before it was whole, and then it is not in use.
 * @throws STORE_CORRUPT for one that is not as it was written
 */
export async function requireSound(dataDir: string, directory: string): Promise<void> {
  for (const name of (await readdir(directory)).filter((file) => file.endsWith(".ldb"))) {
    const file = await readFile(join(directory, name)).catch((error: NodeJS.ErrnoException) => {
      // one who has it open may have done away with it
      if (error.code === "ENOENT") return Buffer.alloc(0);
      throw error;
    });
    if (endsAsTable(file) && !isSound(file)) throw damaged(dataDir, `its file ${name} is not as it was written`);
  }
}

const footerBytes = 48;
const magic = 0xdb4775248b80fb57n;
/** after each block: how it is compressed, and a checksum */
const trailerBytes = 5;

const endsAsTable = (file: Buffer): boolean => file.length >= footerBytes && file.readBigUInt64LE(file.length - 8) === magic;

type Handle = { offset: number; size: number };

function isSound(file: Buffer): boolean {
  try {
    const footer = reader(file.subarray(file.length - footerBytes));
    for (const directory of [handleIn(footer), handleIn(footer)])
      for (const handle of handlesIn(block(file, directory))) block(file, handle);
    return true;
  } catch {
    return false;
  }
}

/** A block's content, once its checksum is right; nothing where it is compressed, as ours are not. @throws on anything that is no block */
function block(file: Buffer, { offset, size }: Handle): Buffer | undefined {
  const end = offset + size;
  if (end + trailerBytes > file.length) throw new Error("it is cut off");
  if (unmasked(file.readUInt32LE(end + 1)) !== crc32c(file.subarray(offset, end + 1))) throw new Error("its checksum is another");
  return file[end] === 0 ? file.subarray(offset, end) : undefined;
}

/** The handles that the entries of an index lead to. */
function handlesIn(content: Buffer | undefined): Handle[] {
  if (!content) return [];
  const restarts = content.readUInt32LE(content.length - 4);
  const end = content.length - 4 * (restarts + 1);
  const entries = reader(content.subarray(0, end));
  const handles: Handle[] = [];
  while (entries.at() < end) {
    entries.varint();
    const [keyBytes, valueBytes] = [entries.varint(), entries.varint()];
    entries.skip(keyBytes);
    handles.push(handleIn(reader(entries.skip(valueBytes))));
  }
  return handles;
}

const handleIn = ({ varint }: Reader): Handle => ({ offset: varint(), size: varint() });

type Reader = { at(): number; varint(): number; skip(bytes: number): Buffer };

function reader(bytes: Buffer): Reader {
  let at = 0;
  const byte = (): number => {
    const value = bytes[at];
    if (value === undefined) throw new Error("it ends too early");
    at += 1;
    return value;
  };
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; scale < 2 ** 53; scale *= 128) {
      const next = byte();
      value += (next & 127) * scale;
      if (next < 128) return value;
    }
    throw new Error("a number is too large");
  };
  const skip = (count: number): Buffer => {
    if (at + count > bytes.length) throw new Error("it ends too early");
    at += count;
    return bytes.subarray(at - count, at);
  };
  return { at: () => at, varint, skip };
}

/** LevelDB stores a checksum turned by 15 bits, with a constant added. */
const unmasked = (stored: number): number => {
  const turned = (stored - 0xa282ead8) >>> 0;
  return ((turned >>> 17) | (turned << 15)) >>> 0;
};

/** CRC-32C, Castagnoli's polynomial (reflected): Node has another. */
const steps = Int32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value;
});
function crc32c(bytes: Uint8Array): number {
  let value = -1;
  for (const byte of bytes) value = (value >>> 8) ^ (steps[(value ^ byte) & 255] ?? 0);
  return ~value >>> 0;
}
