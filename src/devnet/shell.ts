import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { MystError } from "../lib/errors.ts";
import { devnetDirectory } from "./netns/mounts.ts";
import { livingProcess } from "./pids.ts";
import { entryFile, placesFile } from "./sweep.ts";

export type ShellOptions = {
  /** as the devnet was started with */
  dataDir: string;
  place: string;
  say(line: string): void;
};

/**
 * Opens a shell ($SHELL) in the network and mount namespaces of a place of the devnet that runs on a data directory, with that place's
 * own data directory in the environment. It ends with the devnet.
 * @returns the shell's exit status
 * @throws NODE_NOT_RUNNING without such a devnet, PRIVILEGE_NEEDED, BAD_VALUE for a place that it does not have
 */
export async function openShell({ dataDir, place, say }: ShellOptions): Promise<number> {
  const root = join(dataDir, "devnet");
  if (process.geteuid?.() !== 0)
    throw new MystError("PRIVILEGE_NEEDED", "only root enters a network namespace", { hint: "run it with sudo" });
  const entry = await livingProcess(join(root, entryFile));
  if (entry === undefined)
    throw new MystError("NODE_NOT_RUNNING", `no devnet with network namespaces runs in ${root}`, {
      hint: "start one in another terminal with 'mystnode devnet' as root, and name its --data-dir here if it has one of its own",
    });
  const places = readPlaces(join(root, placesFile));
  const pid = Object.hasOwn(places, place) ? places[place] : undefined;
  if (pid === undefined)
    throw new MystError("BAD_VALUE", `the devnet has no '${place.slice(0, 60)}'`, { hint: `one of ${Object.keys(places).join(", ")}` });
  say(`on the machine of ${place}, until you exit`);
  return run(shellLine(entry, pid, process.env.SHELL || "/bin/sh"), {
    ...process.env,
    MYSTNODE_DATA_DIR: join(devnetDirectory, place),
  });
}

/** @throws NODE_NOT_RUNNING while the devnet has none yet */
function readPlaces(file: string): Record<string, number> {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Record<string, number>;
  } catch (cause) {
    throw new MystError("NODE_NOT_RUNNING", "the devnet is only starting", { hint: "try again in a moment", cause });
  }
}

/** Two steps: what the places are numbered by is the inner PID namespace. The directory stays, where it is seen inside. */
const shellLine = (entry: number, place: number, shell: string): string[] => [
  ...["nsenter", "--target", String(entry), "--mount", "--net", `--pid=/proc/${entry}/ns/pid_for_children`, "--"],
  ...["nsenter", "--target", String(place), "--mount", "--net", "--"],
  ...["sh", "-c", 'cd "$1" 2>/dev/null; exec "$2"', "sh", process.cwd(), shell],
];

async function run([file = "", ...args]: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const child = spawn(file, args, { stdio: "inherit", env });
  // what the terminal sends is the shell's business
  for (const name of ["SIGINT", "SIGQUIT"] as const) process.on(name, () => undefined);
  return new Promise((resolve, reject) => {
    child.once("error", (cause) => reject(new MystError("TOOL_MISSING", `cannot run ${file}`, { cause, hint: "install util-linux" })));
    child.once("exit", (status) => resolve(status ?? 1));
  });
}
