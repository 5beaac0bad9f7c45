import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { socksConnect } from "../../src/services/proxy/socks-client.ts";
import type { FromPeer, ToPeer } from "../support/proxy-process.ts";
import { startTarget, type Target } from "../support/proxy-rig.ts";
import { type Measurement, percentile } from "../support/report.ts";

const program = fileURLToPath(new URL("../support/proxy-process.ts", import.meta.url));
const bytesEach = 64 * 2 ** 20;
const chunk = Buffer.alloc(64 * 1024, 7);
const mega = 1e6;

type Open = () => Promise<Socket>;
type Way = "down" | "up";

/** Writes `bytesEach` and ends. */
function pour(socket: Socket): void {
  let left = bytesEach;
  const more = () => {
    while (left > 0 && !socket.destroyed) {
      left -= chunk.length;
      if (!socket.write(chunk)) return;
    }
    socket.off("drain", more).end();
  };
  socket.on("drain", more);
  more();
}

/** The target does as the first byte says: it pours or it takes, and then says with one byte that it has all. */
const serve = (socket: Socket) => {
  socket.once("data", (first: Buffer) => {
    if (first[0] === 1) return pour(socket.resume());
    let left = bytesEach - first.length + 1;
    socket.on("data", (bytes: Buffer) => {
      left -= bytes.length;
      if (left === 0) socket.end("!");
    });
  });
};

/** MB/s of one transfer, from its request to its last byte. */
async function transfer(open: Open, way: Way): Promise<number> {
  const socket = await open();
  let got = 0;
  socket.on("data", (bytes: Buffer) => {
    got += bytes.length;
  });
  const beganMs = performance.now();
  socket.write(Uint8Array.of(way === "down" ? 1 : 0));
  if (way === "up") pour(socket);
  await once(socket, "end");
  const seconds = (performance.now() - beganMs) / 1000;
  socket.destroy();
  if (got !== (way === "down" ? bytesEach : 1)) throw new Error(`${got} bytes came`);
  return bytesEach / mega / seconds;
}

async function told(child: ChildProcess, message?: ToPeer): Promise<FromPeer> {
  const answer = once(child, "message", { signal: AbortSignal.timeout(30_000) });
  if (message) child.send(message);
  return (await answer)[0];
}

/** An exit and a consumer, each in a process of its own; resolves with where the SOCKS server is. */
async function startProxy(children: ChildProcess[]): Promise<string> {
  const start = (role: string) => {
    const child = fork(program, [role], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
    children.push(child);
    return child;
  };
  const exit = start("exit");
  const at = (await told(exit)) as { peer: string; addresses: string[] };
  const consumer = start("consumer");
  const { peer } = (await told(consumer)) as { peer: string };
  await told(exit, { admit: peer });
  const { socks } = (await told(consumer, { use: at.peer, addresses: at.addresses })) as { socks: string };
  return socks;
}

const proxy: Measurement = {
  about: `how fast one connection through the proxy is, beside a plain TCP copy: ${bytesEach / 2 ** 20} MiB each way`,
  runs: 5,
  run: async ({ runs, log, signal }) => {
    const children: ChildProcess[] = [];
    const target: Target = await startTarget(serve);
    const ended = () => children.map((child) => child.exitCode ?? once(child, "exit"));
    try {
      const socks = await startProxy(children);
      const plain: Open = async () => connect({ port: target.port, host: "127.0.0.1", noDelay: true });
      const proxied: Open = () => socksConnect({ host: "127.0.0.1", port: target.port, socks });
      const speeds = { plain: { down: [] as number[], up: [] as number[] }, proxied: { down: [] as number[], up: [] as number[] } };
      for (const way of ["down", "up"] as const) await transfer(proxied, way);
      let done = 0;
      for (; done < runs && !signal.aborted; done += 1) {
        for (const way of ["down", "up"] as const) {
          speeds.plain[way].push(await transfer(plain, way));
          speeds.proxied[way].push(await transfer(proxied, way));
        }
        log(
          `run ${done + 1}: down ${Math.round(speeds.proxied.down.at(-1) ?? 0)} MB/s, up ${Math.round(speeds.proxied.up.at(-1) ?? 0)} MB/s`,
        );
      }
      const median = (values: number[]) => percentile(values, 0.5);
      const both = ({ down, up }: typeof speeds.plain) => (median(down) + median(up)) / 2;
      const beside = (value: number) => ({ name: "plain TCP copy", value });
      return {
        runs: done,
        failures: 0,
        figures: [
          { name: "ratio", value: both(speeds.proxied) / both(speeds.plain), unit: "of plain", better: "higher", beside: beside(1) },
          ...(["down", "up"] as const).map((way) => ({
            name: `${way}MBps`,
            value: median(speeds.proxied[way]),
            unit: "MB/s",
            better: "higher" as const,
            beside: beside(median(speeds.plain[way])),
          })),
        ],
        tried: { transfers: 4 * done },
      };
    } finally {
      await target[Symbol.asyncDispose]();
      for (const child of children) if (child.connected) child.disconnect();
      await Promise.all(ended());
    }
  },
};

export default proxy;
