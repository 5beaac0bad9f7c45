import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setPriority } from "node:os";
import { fileURLToPath } from "node:url";

/** One real peer of a process of several. */
export type GroupPeer = { peer: string; invite: string; country: string | undefined };
export type GroupTask = { countries: (string | undefined)[]; bootstrap: string[] };

/** A process of its own with real libp2p peers in it, each with a database. */
export type Group = AsyncDisposable & {
  peers: GroupPeer[];
  pid: number;
  /** kill -9 */
  kill(): Promise<void>;
};

const program = fileURLToPath(new URL("./group-program.ts", import.meta.url));
const readyMs = 180_000;
/** Fifty peers share the cores of one machine, which a consumer elsewhere has for itself: whoever measures goes first. */
const niceness = 5;

export async function startGroup(task: GroupTask): Promise<Group> {
  const child: ChildProcess = fork(program, { stdio: ["ignore", "ignore", "inherit", "ipc"], serialization: "advanced" });
  const gone = once(child, "exit");
  if (child.pid !== undefined) setPriority(child.pid, niceness);
  child.send(task);
  const [peers] = (await Promise.race([
    once(child, "message", { signal: AbortSignal.timeout(readyMs) }),
    gone.then(() => Promise.reject(new Error("a group of peers ended before it was up"))),
  ])) as [GroupPeer[]];
  const kill = async () => {
    child.kill("SIGKILL");
    await gone;
  };
  return { peers, pid: child.pid ?? 0, kill, [Symbol.asyncDispose]: kill };
}
