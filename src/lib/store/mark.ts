import { constants } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";

/**
 * A small file beside the database's own, with how many batches were acknowledged: LevelDB takes a log that was cut off, or is missing, for
 * one that ends there. When it was made, which no copy keeps, is written into the database, so that a copy is known for one.
 */
export type Mark = {
  /** ns since the epoch; 0 where the file system does not tell */
  born: bigint;
  /** So many batches are on disk from here on; on disk itself when this resolves. */
  raise(writes: number): Promise<void>;
  /** It takes the place of the one before. */
  keep(): Promise<void>;
  close(): Promise<void>;
};
export type MarkSeen = { writes: number; born: bigint };

const markFile = (directory: string): string => join(directory, "mark");
/** the next one, until the database knows of it */
const nextFile = (directory: string): string => join(directory, "mark.next");
/** two, written in turns: a crash spoils at most the one being written */
const slotBytes = 16;

/** The marks that there are: one, or none, or two where a start was broken off. What is not one counts as none. */
export async function readMarks(directory: string): Promise<MarkSeen[]> {
  const found = await Promise.all([markFile(directory), nextFile(directory)].map(read));
  return found.filter((seen) => seen !== undefined);
}

async function read(path: string): Promise<MarkSeen | undefined> {
  try {
    await using file = await open(path, "r");
    const content = Buffer.alloc(2 * slotBytes);
    await file.read(content, 0, content.length, 0);
    const slots = [content.subarray(0, slotBytes), content.subarray(slotBytes)];
    const writes = slots.flatMap((slot) => (slot.readUInt32BE(8) === crc32(slot.subarray(0, 8)) ? [slot.readDoubleBE(0)] : []));
    return writes.length === 0 ? undefined : { writes: Math.max(...writes), born: (await file.stat({ bigint: true })).birthtimeNs };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Makes a new one beside that which the database knows, the one born at `known`; on disk when this resolves. */
export async function makeMark(directory: string, writes: number, known?: bigint): Promise<Mark> {
  const path = nextFile(directory);
  const keep = async () => {
    await rename(path, markFile(directory));
    await syncDirectory(directory);
  };
  const left = await read(path);
  if (left && left.born === known) await keep();
  else await rm(path, { force: true });
  const file = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | (constants.O_DSYNC ?? constants.O_SYNC), 0o600);
  try {
    await write(file, writes);
    await syncDirectory(directory);
    const { birthtimeNs: born } = await file.stat({ bigint: true });
    return {
      born,
      raise: (count) => write(file, count),
      keep,
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** The file is opened so that what is written is on disk: one system call instead of two. */
async function write(file: FileHandle, writes: number): Promise<void> {
  const slot = Buffer.alloc(slotBytes);
  slot.writeDoubleBE(writes, 0);
  slot.writeUInt32BE(crc32(slot.subarray(0, 8)), 8);
  await file.write(slot, 0, slotBytes, (writes % 2) * slotBytes);
}

async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, "r");
  await directory.sync();
}
