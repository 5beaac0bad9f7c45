import { readFileSync } from "node:fs";
import { MystError } from "../lib/errors.ts";

/** Somebody that this process may become. */
export type User = { name: string; uid: number; gid: number; home: string };

/** The lines of passwd(5). */
export const parseUsers = (text: string): User[] =>
  text.split("\n").flatMap((line) => {
    const [name = "", , uid = "", gid = "", , home = ""] = line.split(":");
    return /^\d+$/.test(uid) && /^\d+$/.test(gid) ? [{ name, uid: Number(uid), gid: Number(gid), home }] : [];
  });

/** Of this machine; empty where they are kept elsewhere. */
export function machineUsers(): User[] {
  try {
    return parseUsers(readFileSync("/etc/passwd", "utf8"));
  } catch {
    return [];
  }
}

type Choice = {
  /** --user: a name, or user and group id as "1000" or "1000:1000" */
  wanted: string | undefined;
  sudoUid: string | undefined;
  /** whom the data directory belongs to; undefined: it is not there yet */
  owner: number | undefined;
};

/**
 * Whom a node that root has started becomes, once its helper runs: the user named, else who called sudo, else whom the data directory
 * belongs to, else `mystnode`, else `nobody`. Root only when named.
 * @throws BAD_VALUE for a user that there is not
 */
export function chooseUser({ wanted, sudoUid, owner }: Choice, users: User[]): User {
  const byUid = (uid: number, gid = uid): User => users.find((user) => user.uid === uid) ?? { name: String(uid), uid, gid, home: "/" };
  if (wanted !== undefined) {
    const [, uid, gid] = /^(\d{1,9})(?::(\d{1,9}))?$/.exec(wanted) ?? [];
    if (uid !== undefined) return { ...byUid(Number(uid)), ...(gid !== undefined && { gid: Number(gid) }) };
    const named = users.find(({ name }) => name === wanted);
    if (named) return named;
    throw new MystError("BAD_VALUE", `--user: there is no user '${wanted.slice(0, 60)}'`, {
      hint: "name one of this machine's, or user and group id as in 1000:1000",
    });
  }
  if (sudoUid !== undefined && /^[1-9]\d{0,8}$/.test(sudoUid)) return byUid(Number(sudoUid));
  if (owner !== undefined && owner !== 0) return byUid(owner);
  const known = ["mystnode", "nobody"].flatMap((wish) => users.find(({ name }) => name === wish) ?? []);
  return known[0] ?? byUid(65_534);
}
