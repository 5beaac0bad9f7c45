import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { MystError } from "../lib/errors.ts";

const socketName = "api.sock";
/** sun_path has 108 bytes on Linux and 104 elsewhere, one of them for the end */
const maxPath = process.platform === "linux" ? 107 : 103;

export const socketPathOf = (dataDir: string): string => join(dataDir, socketName);

/**
 * A path that fits a socket's address. A long one is reached through an open handle on its directory, which the kernel knows
 * under a short name; the handle must stay open until the socket is bound or connected, and for a bound one until it is gone.
 * @throws DATA_DIR_UNUSABLE where the system has no such names
 */
export async function shortSocketPath(path: string): Promise<AsyncDisposable & { path: string }> {
  if (Buffer.byteLength(path) <= maxPath) return { path, [Symbol.asyncDispose]: async () => undefined };
  if (process.platform !== "linux")
    throw new MystError("DATA_DIR_UNUSABLE", `the path of the socket, ${path}, is longer than ${maxPath} bytes`, {
      hint: "choose a shorter --data-dir",
    });
  const directory: FileHandle = await open(path.slice(0, -socketName.length), "r");
  return { path: `/proc/self/fd/${directory.fd}/${socketName}`, [Symbol.asyncDispose]: () => directory.close() };
}
