import { once } from "node:events";
import { get } from "node:http";
import { connect, type Socket } from "node:net";
import { type Probes, startProbing } from "./probing.ts";
import { pour, startTargetServers } from "./target.ts";
import { type Attempt, tryAll } from "./trying.ts";

/**
 * A process on a host of the small internet that does what it is told by messages, one at a time for each id, and ends with the process
 * that started it.
 */
export type Task =
  | { do: "serve" }
  /** a transfer of `bytes` with the target's stream server, from or to it */
  | { do: "transfer"; host: string; way: Way; bytes: number }
  /** a page of the target's web server */
  | { do: "fetch"; host: string }
  | { do: "try"; attempts: Attempt[] }
  /** begins to probe, or ends; its text is how many rounds there were since it began */
  | { do: "probe"; probes: Probes | undefined };
export type Way = "down" | "up";
export type Done = { ms: number; text: string };
export type ToAgent = { id: number; task: Task };
export type FromAgent = { id: number; done?: Done; error?: string };

export const streamPort = 7000;
export const webPort = 80;
const limitMs = 120_000;

async function transfer(host: string, way: Way, bytes: number): Promise<Done> {
  const socket: Socket = connect({ host, port: streamPort, noDelay: true, signal: AbortSignal.timeout(limitMs) } as never);
  let got = 0;
  socket.on("data", (chunk: Buffer) => {
    got += chunk.length;
  });
  await once(socket, "connect");
  const beganMs = performance.now();
  const ask = Buffer.alloc(9);
  ask.writeUInt8(way === "down" ? 1 : 0);
  ask.writeBigUInt64BE(BigInt(bytes), 1);
  socket.write(ask);
  if (way === "up") pour(socket, bytes);
  await once(socket, "end");
  const ms = performance.now() - beganMs;
  socket.destroy();
  if (got !== (way === "down" ? bytes : 1)) throw new Error(`${got} bytes came`);
  return { ms, text: "" };
}

/** `ms`: until the first byte of the page */
async function fetchPage(host: string): Promise<Done> {
  const beganMs = performance.now();
  const asked = get({ host, port: webPort, agent: false, signal: AbortSignal.timeout(limitMs) });
  const [response] = await once(asked, "response");
  // what comes later the reading of the page tells
  asked.on("error", () => undefined);
  let ms = 0;
  let text = "";
  for await (const chunk of response) {
    ms ||= performance.now() - beganMs;
    text += chunk;
  }
  return { ms, text };
}

let probing: ReturnType<typeof startProbing> | undefined;

async function perform(task: Task): Promise<Done> {
  if (task.do === "probe") {
    const text = String(probing?.rounds() ?? 0);
    probing?.[Symbol.dispose]();
    probing = task.probes && startProbing(task.probes);
    return { ms: 0, text };
  }
  if (task.do === "transfer") return transfer(task.host, task.way, task.bytes);
  if (task.do === "try") {
    await tryAll(task.attempts);
    return { ms: 0, text: "" };
  }
  if (task.do === "fetch") return fetchPage(task.host);
  await startTargetServers({ streamPort, webPort });
  return { ms: 0, text: "" };
}

if (process.send) {
  const say = (message: FromAgent) => process.send?.(message);
  process.on("message", ({ id, task }: ToAgent) => {
    perform(task).then(
      (done) => say({ id, done }),
      (error) => say({ id, error: String(error) }),
    );
  });
  process.on("disconnect", () => process.exit(0));
  process.on("SIGINT", () => undefined);
  say({ id: 0 });
}
