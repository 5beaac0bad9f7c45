import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Level } from "level";
import { MystError } from "./errors.ts";
import { requireSound } from "./store/checksums.ts";
import type { Contents, Op } from "./store/contents.ts";
import { storeError } from "./store/errors.ts";
import { type Mark, makeMark } from "./store/mark.ts";
import { type Database, type Doubt, examine, requireCurrent, type Standing, standingOp } from "./store/standing.ts";
import { type Table, tableIn } from "./store/table.ts";

export type { Op } from "./store/contents.ts";
export type { Doubt } from "./store/standing.ts";
export type { Table } from "./store/table.ts";

/** The node's only database. LevelDB's own lock on it makes the holder *the* node of that data directory. */
export type Store = AsyncDisposable & {
  table(name: string): Table;
  /**
   * All or nothing, and on disk (fsync) when it resolves. What comes while another write is under way goes with the next: they are
   * performed one after the other. @throws STORE_FULL, DATA_DIR_UNUSABLE, and what opening throws where the last one failed: it is opened anew
   */
  write(ops: Op[]): Promise<void>;
  /** The same without waiting for the disk: for what can be learned again (offers, caches). */
  writeLazily(ops: Op[]): Promise<void>;
  /** Sound in itself, but not the newest: a copy, or without its last writes. It stays so until `trust`. */
  doubt(): Doubt | undefined;
  /** Whoever has to has taken the doubt to heart. */
  trust(): Promise<void>;
  close(): Promise<void>;
};

/**
 * Opens (or makes) `<dataDir>/db`.
 * @throws DATA_DIR_LOCKED when another process holds it, STORE_CORRUPT, STORE_FULL, DATA_DIR_UNUSABLE
 */
export async function openStore(dataDir: string): Promise<Store> {
  const directory = join(dataDir, "db");
  type Opened = { level: Database; contents: Contents; standing: Standing; mark: Mark };
  /** @param again the database, where it has been open before */
  const begin = async (again?: Database): Promise<Opened> => {
    let level = again;
    let mark: Mark | undefined;
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await requireCurrent(dataDir, directory);
      await requireSound(dataDir, directory);
      // it opens by being made
      level ??= new Level(directory, { keyEncoding: "utf8", valueEncoding: "view", compression: false });
      await level.open();
      const { contents, standing: before } = await examine(level, dataDir, directory);
      // The database knows the new mark before it takes the old one's place: whenever this is broken off, one of the two is known.
      mark = await makeMark(directory, before?.writes ?? 0, before?.born);
      const standing = { writes: (before?.writes ?? 0) + 1, sum: contents.sum(), born: mark.born, doubt: before?.doubt };
      await level.batch([standingOp(standing)], { sync: true });
      await mark.keep();
      return { level, contents, standing, mark };
    } catch (cause) {
      await mark?.close().catch(() => undefined);
      await level?.close().catch(() => undefined);
      throw storeError(dataDir, cause);
    }
  };
  let opened = await begin();
  const { level } = opened;
  /** A write that failed may be there in part, and LevelDB would go on behind it: what comes next would be lost with it. */
  let isBroken = false;
  const writeError = (cause: unknown) => {
    const error = storeError(dataDir, cause);
    return error.code === "STORE_FULL"
      ? error
      : new MystError("DATA_DIR_UNUSABLE", `cannot write to ${dataDir}`, { hint: "check the disk, and that you own it", cause });
  };

  const perform = async (ops: Op[], sync: boolean) => {
    if (isBroken) {
      await opened.mark.close().catch(() => undefined);
      await level.close();
      opened = await begin(level);
      isBroken = false;
    }
    const { contents, mark } = opened;
    const { sum, take } = contents.after(ops);
    const standing = { ...opened.standing, writes: opened.standing.writes + 1, sum };
    try {
      await level.batch<string, Uint8Array>([...ops, standingOp(standing)], { sync });
      take();
      opened.standing = standing;
      if (sync) await mark.raise(standing.writes);
    } catch (cause) {
      isBroken = true;
      throw writeError(cause);
    }
  };

  type Waiting = { ops: Op[]; sync: boolean; resolve(): void; reject(error: unknown): void };
  let waiting: Waiting[] = [];
  let working: Promise<void> | undefined;
  let isOver = false;
  const work = async () => {
    for (let batch = waiting; batch.length > 0; batch = waiting) {
      waiting = [];
      const done = perform(
        batch.flatMap(({ ops }) => ops),
        batch.some(({ sync }) => sync),
      );
      await done.then(
        () => batch.forEach(({ resolve }) => void resolve()),
        (error) => batch.forEach(({ reject }) => void reject(error)),
      );
    }
    working = undefined;
  };
  const write = (ops: Op[], sync: boolean) =>
    new Promise<void>((resolve, reject) => {
      if (isOver) throw new MystError("DATA_DIR_UNUSABLE", `the database in ${dataDir} is closed`);
      waiting.push({ ops, sync, resolve, reject });
      working ??= work();
    });
  let closing: Promise<void> | undefined;
  const close = () => {
    isOver = true;
    closing ??= (async () => {
      await working;
      await opened.mark.close().catch(() => undefined);
      await level.close();
    })();
    return closing;
  };
  return {
    table: (name) => tableIn(level, dataDir, name),
    write: (ops) => write(ops, true),
    writeLazily: (ops) => write(ops, false),
    doubt: () => opened.standing.doubt,
    trust: async () => {
      opened.standing = { ...opened.standing, doubt: undefined };
      await write([], true);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
