import { connect, createServer } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import { MystError } from "../../../lib/errors.ts";

const patienceMs = 5000;

/**
 * Makes us the only `what` of this network namespace until we end: an abstract socket is of the namespace, as what we are about to change is,
 * and goes with its process. One whose node has gone is asked to make room: `onAsked` is called there.
 * @throws TUNNEL_FAILED when another one runs
 */
export async function beSole(what: "exit" | "client", onAsked: () => void): Promise<() => void> {
  const path = `\0mystnode-${what}`;
  const end = performance.now() + patienceMs;
  for (;;) {
    const release = await hold(path, onAsked);
    if (release) return release;
    await knock(path);
    if (performance.now() > end)
      throw new MystError("TUNNEL_FAILED", `another mystnode ${what === "exit" ? "exit" : "connection"} runs on this machine`, {
        hint: "end that one first, or use --service proxy for one of the two",
      });
    await wait(50);
  }
}

function hold(path: string, onAsked: () => void): Promise<(() => void) | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.destroy();
      onAsked();
    });
    server.once("error", (error: NodeJS.ErrnoException) => (error.code === "EADDRINUSE" ? resolve(undefined) : reject(error)));
    server.listen(path, () => {
      server.unref();
      resolve(() => server.close());
    });
  });
}

const knock = (path: string): Promise<void> =>
  new Promise((resolve) => {
    const socket = connect(path);
    socket.once("error", () => resolve());
    socket.once("close", () => resolve());
  });
