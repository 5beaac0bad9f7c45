import { accessSync, closeSync, constants, fchownSync, fstatSync, lstatSync, mkdirSync, openSync, readdirSync, type Stats } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { asMystError, MystError } from "../lib/errors.ts";
import type { User } from "./users.ts";

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = constants;
/** what a node keeps in its data directory; nothing else there is handed over */
const ours = ["identity", "db", "network.json"];
const root = fileURLToPath(new URL("../..", import.meta.url));

export const ownerOf = (path: string): number | undefined => lstatSync(path, { throwIfNoEntry: false })?.uid;

/**
 * Makes the data directory, or hands over one that root has made, so that `user` can be the node. Nothing is followed that is a link,
 * and of what is there only what root owns and a node has made changes hands.
 * @throws DATA_DIR_UNUSABLE
 */
export function handOver(dataDir: string, user: User): void {
  const found = lstatSync(dataDir, { throwIfNoEntry: false });
  if (!found) makeDirectory(dataDir, user);
  else checkOurs(dataDir, found, user);
  try {
    give(dataDir, user);
  } catch (cause) {
    throw unusable(dataDir, `cannot be handed to ${user.name}: ${asMystError(cause).message}`, "choose another --data-dir", cause);
  }
}

const unusable = (dataDir: string, why: string, hint: string, cause?: unknown) =>
  new MystError("DATA_DIR_UNUSABLE", `${dataDir} ${why}`, { hint, cause });

function makeDirectory(dataDir: string, user: User): void {
  try {
    // below a home, what is missing on the way belongs to its owner too
    asUser(user, () => mkdirSync(dataDir, { recursive: true, mode: 0o700 }));
  } catch {
    try {
      mkdirSync(dirname(dataDir), { recursive: true, mode: 0o755 });
      mkdirSync(dataDir, { mode: 0o700 });
    } catch (cause) {
      throw unusable(dataDir, `cannot be made: ${asMystError(cause).message}`, "choose another --data-dir", cause);
    }
  }
}

function asUser(user: User, work: () => void): void {
  process.setegid?.(user.gid);
  process.seteuid?.(user.uid);
  try {
    work();
  } finally {
    process.seteuid?.(0);
    process.setegid?.(0);
  }
}

function checkOurs(dataDir: string, found: Stats, user: User): void {
  if (!found.isDirectory()) throw unusable(dataDir, "is no directory", "choose another --data-dir");
  if (found.uid === user.uid) return;
  if (found.uid !== 0)
    throw unusable(dataDir, `belongs to user ${found.uid}, not to ${user.name}`, `use --user ${found.uid}, or another --data-dir`);
  const names = readdirSync(dataDir);
  if (names.length > 0 && !names.some((name) => ours.includes(name)))
    throw unusable(dataDir, "is no node's data directory, so it is not handed over", "choose another --data-dir");
}

/** The directory, and below it what is a node's. By open files, so that what is checked is what changes hands. */
function give(dataDir: string, user: User): void {
  const directory = openSync(dataDir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  try {
    giveOpen(directory, user);
    for (const name of ours) giveTree(join(`/proc/self/fd/${directory}`, name), user);
  } finally {
    closeSync(directory);
  }
}

function giveTree(path: string, user: User): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found || !(found.isDirectory() || found.isFile())) return;
  const file = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    giveOpen(file, user);
    if (fstatSync(file).isDirectory())
      for (const name of readdirSync(`/proc/self/fd/${file}`)) giveTree(`/proc/self/fd/${file}/${name}`, user);
  } finally {
    closeSync(file);
  }
}

function giveOpen(file: number, user: User): void {
  const { uid, nlink } = fstatSync(file);
  const isDirectory = fstatSync(file).isDirectory();
  // a second name of a file may stand anywhere
  if (uid === 0 && (isDirectory || nlink === 1)) fchownSync(file, user.uid, user.gid);
}

/**
 * Becomes `user`, for good. @throws PRIVILEGE_NEEDED where that cannot be, DATA_DIR_UNUSABLE where that user could not read what it needs
 */
export function become(user: User, dataDir: string): void {
  try {
    process.setgroups?.([user.gid]);
    process.setgid?.(user.gid);
    process.setuid?.(user.uid);
  } catch (cause) {
    throw new MystError("PRIVILEGE_NEEDED", `cannot become user ${user.name}: ${asMystError(cause).message}`, {
      hint: "name another with --user, or stay root with --user root",
      cause,
    });
  }
  const readable = (path: string, mode: number) => {
    try {
      accessSync(path, mode);
      return true;
    } catch {
      return false;
    }
  };
  const program = join(root, "package.json");
  if (!readable(program, constants.R_OK))
    throw new MystError("PRIVILEGE_NEEDED", `user ${user.name} may not read the program in ${root}`, {
      hint: "install it where everybody may read it, name another with --user, or stay root with --user root",
    });
  if (!readable(dataDir, constants.R_OK | constants.W_OK | constants.X_OK))
    throw unusable(dataDir, `cannot be used by ${user.name}`, "choose another --data-dir, name another user with --user, or --user root");
}
