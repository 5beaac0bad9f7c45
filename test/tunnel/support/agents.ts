import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Done, FromAgent, Task, ToAgent } from "./agent.ts";
import { type Host, inside } from "./internet.ts";

export type Agent = Disposable & {
  pid: number;
  /** @throws what the task failed with */
  ask(task: Task): Promise<Done>;
};

const program = fileURLToPath(new URL("./agent.ts", import.meta.url));

/** A process on a host that does what it is told, until disposed of or until we end. */
export async function startAgent(host: Host): Promise<Agent> {
  const child = spawn(...inside(host, [process.execPath, program]), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const waiting = new Map<number, { resolve(done: Done): void; reject(error: unknown): void }>();
  let ids = 0;
  child.on("message", ({ id, done, error }: FromAgent) => {
    const asked = waiting.get(id);
    waiting.delete(id);
    if (done) asked?.resolve(done);
    else asked?.reject(new Error(error));
  });
  child.once("exit", () => {
    for (const { reject } of waiting.values()) reject(new Error("the agent ended"));
  });
  await once(child, "message", { signal: AbortSignal.timeout(30_000) });
  return {
    // every command in front of it has replaced itself
    pid: child.pid ?? 0,
    ask: (task) => {
      ids += 1;
      const message: ToAgent = { id: ids, task };
      return new Promise((resolve, reject) => {
        waiting.set(message.id, { resolve, reject });
        child.send(message);
      });
    },
    [Symbol.dispose]: () => void child.kill("SIGKILL"),
  };
}
