import { spawn } from "node:child_process";
import { once } from "node:events";
import { type Host, inside } from "./internet.ts";

/** What such a process says: that it is there, then for each task what came of it. */
export type Told<Done> = { done?: Done; error?: string };

/** A process on a host that is told what to do by messages, one at a time, until disposed of. */
export async function startTold<Task extends object, Done>(
  host: Host,
  program: string,
): Promise<Disposable & { ask(task: Task): Promise<Done | undefined> }> {
  const child = spawn(...inside(host, [process.execPath, program]), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const told = async (): Promise<Told<Done>> => (await once(child, "message", { signal: AbortSignal.timeout(90_000) }))[0];
  await told();
  return {
    ask: async (task) => {
      const answer = told();
      child.send(task);
      const { done, error } = await answer;
      if (error !== undefined) throw new Error(error);
      return done;
    },
    [Symbol.dispose]: () => void child.kill("SIGKILL"),
  };
}
