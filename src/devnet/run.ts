import { rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { claim } from "./devnet.ts";
import { loopbackGround } from "./ground.ts";
import { isInside, runInside } from "./netns/enter.ts";
import { openGround } from "./netns/ground.ts";
import { devnetDirectory } from "./netns/mounts.ts";
import { namespaceProblem } from "./netns/probe.ts";
import { writePidFile } from "./pids.ts";
import { once, type RunDevnetOptions, type Stage, stay } from "./show.ts";
import { entryFile, onceDirectory, placesFile, reapDevnet, sweep } from "./sweep.ts";
import { commandName, nextLines, shellLines } from "./words.ts";

/**
 * `mystnode devnet`: a whole market on this machine. With `once` it runs one cycle and ends; else it shows itself at work, runs a
 * cycle to begin with, and stays up for others to join until `signal`. With WireGuard in namespaces of its own where the machine
 * allows, else with the proxy on loopback.
 * @returns the exit status
 * @throws PRIVILEGE_NEEDED, TUNNEL_FAILED when WireGuard is asked for and cannot be; INTERRUPTED when asked to end before the cycle
 *   has; DATA_DIR_LOCKED, and what `startOn` and `runCycle` throw
 */
export async function runDevnet(options: RunDevnetOptions): Promise<number> {
  const root = join(options.dataDir, "devnet");
  if (isInside()) return inside(options, root);
  await sweep(root);
  if (options.service === "proxy") return onLoopback(options, root, "the proxy, on loopback, as asked for");
  const problem = await namespaceProblem();
  if (!problem) return inNamespaces(options, root);
  if (options.service === "wireguard") throw problem;
  return onLoopback(options, root, `the proxy, on loopback: ${problem.message}`);
}

async function onLoopback(options: RunDevnetOptions, root: string, form: string): Promise<number> {
  const directory = options.once ? onceDirectory(root) : root;
  const release = await claim(directory);
  const next: Stage["next"] = (to) => nextLines({ command: commandName(), ...to });
  const stage = { ground: loopbackGround, directory, shownDirectory: directory, form, next };
  try {
    return await (options.once ? once(options, stage) : stay(options, stage));
  } finally {
    await release();
    if (options.once) await rm(directory, { recursive: true, force: true });
    // only when nothing of an earlier devnet is in it
    if (options.once) await rmdir(root).catch(() => undefined);
  }
}

/** The host's side: it waits. One cycle leaves nothing to anybody, so it needs no directory on the host. */
async function inNamespaces({ once, signal }: RunDevnetOptions, root: string): Promise<number> {
  if (once) return runInside(signal);
  const release = await claim(root);
  const entry = join(root, entryFile);
  try {
    // of a devnet on loopback that was killed: from inside it is out of reach
    await reapDevnet(root);
    await rm(join(root, placesFile), { force: true });
    return await runInside(signal, (pid) => writePidFile(entry, pid));
  } finally {
    for (const file of [entry, join(root, placesFile)]) await rm(file, { force: true });
    await release();
  }
}

/** The side inside; `root` is the host's, and seen here as well. */
async function inside(options: RunDevnetOptions, root: string): Promise<number> {
  const service = options.service ?? "wireguard";
  const ground = await openGround(service, { needed: [options.dataDir, process.cwd()], ...(!options.once && { keep: root }) });
  const form = "WireGuard, each peer in a network namespace of its own";
  const shell = {
    command: commandName(),
    sudo: process.env.SUDO_UID !== undefined,
    ...(!options.isDefaultDataDir && { dataDir: options.dataDir }),
  };
  const next: Stage["next"] = ({ webUrl, other }) => shellLines({ ...shell, webUrl, other });
  const stage = { ground, directory: devnetDirectory, shownDirectory: options.once ? devnetDirectory : root, form, next };
  return options.once ? once(options, stage) : stay(options, stage);
}
