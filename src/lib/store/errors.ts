import { MystError } from "../errors.ts";

const codeOf = (error: unknown): string => {
  const e = error as { code?: string; cause?: unknown } | undefined;
  return e?.cause ? `${e.code} ${codeOf(e.cause)}` : String(e?.code);
};
const textOf = (cause: unknown): string => {
  const { message, cause: inner } = cause as Error;
  return `${codeOf(cause)} ${message} ${(inner as Error | undefined)?.message ?? ""}`;
};

export const damaged = (directory: string, why: string, cause?: unknown): MystError =>
  new MystError("STORE_CORRUPT", `the database in ${directory} is damaged: ${why}`, {
    hint: "nothing is signed on a damaged ledger: 'mystnode doctor' says what can be done",
    cause,
  });

/** What LevelDB or the file system has against opening, reading or writing the database of a data directory. */
export const storeError = (directory: string, cause: unknown): MystError => {
  if (cause instanceof MystError) return cause;
  const text = textOf(cause);
  if (/LOCKED/.test(text))
    return new MystError("DATA_DIR_LOCKED", `another node runs on ${directory}`, {
      hint: "use it with 'mystnode status', end it, or choose another --data-dir",
      cause,
    });
  if (/ENOSPC|No space|EFBIG|File too large|EDQUOT|quota/i.test(text))
    return new MystError("STORE_FULL", `no space left for ${directory}`, { hint: "free some disk space", cause });
  const isOurs = /EACCES|EPERM|EROFS|ENOTDIR|Permission denied|Operation not permitted|Read-only file system|Not a directory/.test(text);
  // what else LevelDB cannot read is not as it was written
  if (!isOurs && /CORRUPT|IO error/i.test(text)) return damaged(directory, reasonIn(text), cause);
  return new MystError("DATA_DIR_UNUSABLE", `cannot open ${directory}`, { hint: "check that you own it and may write to it", cause });
};
/** LevelDB's own words, without paths. */
const reasonIn = (text: string): string =>
  (/(?:Corruption|IO error): ?(.*)/.exec(text)?.[1] ?? "it cannot be read").replace(/\S*\/db\//g, "").slice(0, 120);
