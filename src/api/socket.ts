import { chmod, lstat, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { asMystError, MystError } from "../lib/errors.ts";
import type { Api } from "./api.ts";
import { shortSocketPath, socketPathOf } from "./socket-path.ts";

/** how long an answer that is under way may take when the node stops */
const graceMs = 500;

/**
 * Serves the API at `<dataDir>/api.sock`, for the owner and the group (0660). To be called by the holder of the database's lock
 * only: a socket that is there already is then left over from a node that was killed, and is replaced.
 * @throws DATA_DIR_UNUSABLE
 */
export async function listenSocket(api: Api, dataDir: string): Promise<AsyncDisposable & { path: string }> {
  const path = socketPathOf(dataDir);
  const found = await lstat(path).catch(() => undefined);
  if (found && !found.isSocket())
    throw new MystError("DATA_DIR_UNUSABLE", `${path} is in the way and no socket`, { hint: "move it away, or choose another --data-dir" });
  if (found) await rm(path, { force: true });
  const short = await shortSocketPath(path);
  const server = createServer(getRequestListener(api.fetch, { overrideGlobalObjects: false }));
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      // the socket is bound within this call: nobody can reach it with other rights in between
      const before = process.umask(0o117);
      server.listen(short.path, resolve);
      process.umask(before);
    });
    await chmod(path, 0o660);
  } catch (cause) {
    await short[Symbol.asyncDispose]();
    throw new MystError("DATA_DIR_UNUSABLE", `cannot listen at ${path}: ${asMystError(cause).message}`, {
      hint: "check that you own the directory, or choose another --data-dir",
      cause,
    });
  }
  const close = async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    const late = setTimeout(() => server.closeAllConnections(), graceMs);
    await closed;
    clearTimeout(late);
    await rm(path, { force: true });
    await short[Symbol.asyncDispose]();
  };
  return { path, [Symbol.asyncDispose]: close };
}
