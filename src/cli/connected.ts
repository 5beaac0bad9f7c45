import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type ApiClient, createApiClient } from "../api/client.ts";
import { socketPathOf } from "../api/socket-path.ts";
import { isMystError } from "../lib/errors.ts";

/** Identities for a time (fresh.ts) have a data directory each, below the node's. */
export const freshDirectory = (dataDir: string): string => join(dataDir, "fresh");

/** The periods that there are directories of, the oldest first. */
export const periodsIn = async (dataDir: string): Promise<string[]> => {
  const names = await readdir(freshDirectory(dataDir)).catch(() => []);
  return names.filter((name) => /^\d{8}T\d{4}Z-\d+h$/.test(name)).sort();
};

/** The node that has a connection: that of the data directory, else one of a period of its. @throws NODE_NOT_RUNNING */
export async function connectedApi(dataDir: string, signal: AbortSignal): Promise<ApiClient> {
  const places = [dataDir, ...(await periodsIn(dataDir)).reverse().map((name) => join(freshDirectory(dataDir), name))];
  const running: ApiClient[] = [];
  let absent: unknown;
  for (const place of places) {
    const api = createApiClient({ socket: socketPathOf(place) });
    try {
      if ((await api.call("status", {}, signal)).connection) return api;
      running.push(api);
    } catch (error) {
      if (!isMystError(error, "NODE_NOT_RUNNING")) throw error;
      absent ??= error;
    }
  }
  if (running[0]) return running[0];
  throw absent;
}
