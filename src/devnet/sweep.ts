import { existsSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { livingProcess, reapPidFile } from "./pids.ts";

/** notes the process that runs the devnet of a directory */
export const ownerFile = "devnet.pid";
/** notes the process through which the namespaces of a devnet are entered, where it has some */
export const entryFile = "entry.pid";
/** the places of such a devnet, each with a process that holds it, by number inside */
export const placesFile = "places.json";
export const anvilFile = "anvil.pid";

const oncePattern = /^once-(\d+)$/;

/** The directory of one run that keeps nothing, below the devnets' own. */
export const onceDirectory = (root: string): string => join(root, `once-${process.pid}`);

/** Ends all that an earlier devnet left running on a directory: every node's process, and the chain's last, for them to clear on. */
export async function reapDevnet(directory: string): Promise<void> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  const nodes = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(directory, name, "node.pid"));
  await Promise.all(nodes.map((file) => reapPidFile(file)));
  await reapPidFile(join(directory, anvilFile));
}

/** Removes what runs that keep nothing have left because they were killed, with their processes. A run that goes on is left alone. */
export async function sweep(root: string): Promise<void> {
  for (const name of await readdir(root).catch(() => [])) {
    const pid = oncePattern.exec(name)?.[1];
    const directory = join(root, name);
    if (pid === undefined || (await isAlive(directory, Number(pid)))) continue;
    await reapDevnet(directory);
    await rm(directory, { recursive: true, force: true });
  }
}

async function isAlive(directory: string, pid: number): Promise<boolean> {
  const file = join(directory, ownerFile);
  // our own number on a run that is not ours: it was used again
  if (pid === process.pid) return false;
  if (existsSync(file)) return (await livingProcess(file)) !== undefined;
  // it may be about to write the file
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
