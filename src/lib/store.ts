import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Level } from "level";
import { MystError } from "./errors.ts";

/** One write of a batch; made by a table, performed by `Store.write`. */
export type Op = { type: "put"; key: string; value: Uint8Array } | { type: "del"; key: string };

/** A named part of the store. Keys are strings that sort as text; values are bytes. */
export type Table = {
  get(key: string): Promise<Uint8Array | undefined>;
  /** entries whose key begins with `prefix`, in key order */
  entries(prefix?: string): AsyncIterable<[key: string, value: Uint8Array]>;
  put(key: string, value: Uint8Array): Op;
  del(key: string): Op;
};

/** The node's only database. LevelDB's own lock on it makes the holder *the* node of that data directory. */
export type Store = AsyncDisposable & {
  table(name: string): Table;
  /** All or nothing, and on disk (fsync) when it resolves. */
  write(ops: Op[]): Promise<void>;
  /** The same without waiting for the disk: for what can be learned again (offers, caches). */
  writeLazily(ops: Op[]): Promise<void>;
  close(): Promise<void>;
  /** for libraries that bring their own sublevel (libp2p's datastore) */
  level: Level<string, Uint8Array>;
};

const codeOf = (error: unknown): string => {
  const e = error as { code?: string; cause?: unknown } | undefined;
  return e?.cause ? `${e.code} ${codeOf(e.cause)}` : String(e?.code);
};

const openError = (directory: string, cause: unknown): MystError => {
  const text = `${codeOf(cause)} ${(cause as Error).message} ${((cause as Error).cause as Error | undefined)?.message ?? ""}`;
  if (/LOCKED/.test(text))
    return new MystError("DATA_DIR_LOCKED", `another node runs on ${directory}`, {
      hint: "use it with 'mystnode status', end it, or choose another --data-dir",
      cause,
    });
  if (/CORRUPT/i.test(text))
    return new MystError("STORE_CORRUPT", `the database in ${directory} is damaged`, {
      hint: "keep a copy of the directory, then see 'mystnode doctor'; nothing is signed on a damaged ledger",
      cause,
    });
  if (/ENOSPC|No space/i.test(text))
    return new MystError("STORE_FULL", `no space left for ${directory}`, { hint: "free some disk space", cause });
  return new MystError("DATA_DIR_UNUSABLE", `cannot open ${directory}`, { hint: "check that you own it and may write to it", cause });
};

/**
 * Opens (or makes) `<dataDir>/db`.
 * @throws DATA_DIR_LOCKED when another process holds it, STORE_CORRUPT, STORE_FULL, DATA_DIR_UNUSABLE
 */
export async function openStore(dataDir: string): Promise<Store> {
  const directory = join(dataDir, "db");
  const level = new Level<string, Uint8Array>(directory, { keyEncoding: "utf8", valueEncoding: "view" });
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await level.open();
  } catch (cause) {
    throw openError(dataDir, cause);
  }
  const writeError = (cause: unknown) =>
    new MystError(/ENOSPC|No space/i.test(String(cause)) ? "STORE_FULL" : "DATA_DIR_UNUSABLE", `cannot write to ${dataDir}`, { cause });
  const write = (ops: Op[], sync: boolean) =>
    level.batch<string, Uint8Array>(ops, { sync }).catch((cause) => {
      throw writeError(cause);
    });
  const close = () => level.close();
  return {
    level,
    table: (name) => table(level, `${name}/`),
    write: (ops) => write(ops, true),
    writeLazily: (ops) => write(ops, false),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function table(level: Level<string, Uint8Array>, prefix: string): Table {
  return {
    get: (key) => level.get(prefix + key),
    async *entries(within = "") {
      const from = prefix + within;
      for await (const [key, value] of level.iterator({ gte: from, lt: `${from}\uffff` })) yield [key.slice(prefix.length), value];
    },
    put: (key, value) => ({ type: "put", key: prefix + key, value }),
    del: (key) => ({ type: "del", key: prefix + key }),
  };
}
