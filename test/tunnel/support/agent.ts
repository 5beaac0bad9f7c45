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
  /** a connection to the target's stream server over which a byte goes every 50 ms, and of which all have to arrive */
  | { do: "trickle"; host: string; bytes: number }
  /** a page of the target's web server */
  | { do: "fetch"; host: string }
  | { do: "try"; attempts: Attempt[] }
  /** asks for the page again and again until another exit than `from` shows in it; for how long there was none, and by whom it came then */
  | { do: "outlook"; host: string; from: string; limitMs: number }
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

async function trickle(host: string, bytes: number): Promise<Done> {
  const socket: Socket = connect({ host, port: streamPort, noDelay: true, signal: AbortSignal.timeout(limitMs) } as never);
  const answered = once(socket, "data");
  answered.catch(() => undefined);
  await once(socket, "connect");
  const beganMs = performance.now();
  const ask = Buffer.alloc(9);
  ask.writeBigUInt64BE(BigInt(bytes), 1);
  socket.write(ask);
  for (let sent = 0; sent < bytes; sent += 1) {
    socket.write(Buffer.alloc(1));
    await new Promise((done) => setTimeout(done, 50));
  }
  await answered;
  socket.destroy();
  return { ms: performance.now() - beganMs, text: "" };
}

/** `ms`: until the first byte of the page */
async function fetchPage(host: string, withinMs = limitMs): Promise<Done> {
  const beganMs = performance.now();
  const asked = get({ host, port: webPort, agent: false, signal: AbortSignal.timeout(withinMs) });
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

const askEveryMs = 100;
const askMs = 1_000;

function outlook(host: string, from: string, limitMs: number): Promise<Done> {
  const beganMs = performance.now();
  let lastMs = beganMs;
  return new Promise((resolve, reject) => {
    const ask = () => {
      if (performance.now() - beganMs > limitMs) return over(new Error(`no other exit than ${from} within ${limitMs} ms`));
      const askedMs = performance.now();
      fetchPage(host, askMs).then(
        ({ text }) => {
          if (text === from) lastMs = Math.max(lastMs, askedMs);
          else over(undefined, text);
        },
        () => undefined,
      );
    };
    const timer = setInterval(ask, askEveryMs);
    const over = (error?: Error, text = "") => {
      clearInterval(timer);
      if (error) reject(error);
      else resolve({ ms: performance.now() - lastMs, text });
    };
  });
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
  if (task.do === "trickle") return trickle(task.host, task.bytes);
  if (task.do === "fetch") return fetchPage(task.host);
  if (task.do === "outlook") return outlook(task.host, task.from, task.limitMs);
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
