import { execFile } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { echoOnce } from "./echo.ts";

/**
 * A process on one host that listens, and tries to reach others, as it is told by messages. What came of a try is "open …" with what
 * the other side saw, the error's code, or "silence".
 */
export type Probe =
  /** TCP servers say "remote local" and end; UDP servers send the same */
  | { do: "listen"; tcp: number[]; udp: number[]; address?: string }
  | { do: "tcp"; host: string; port: number; from?: string }
  | { do: "udp"; host: string; port: number; from?: string; bytes?: number; times?: number }
  /** an ICMP echo request, as root */
  | { do: "icmp"; host: string }
  /** another user from now on */
  | { do: "become"; uid: number };
export type Asked = { id: number; probe: Probe };
export type Told = { id: number; result?: string; error?: string };

const silenceMs = 400;

async function listen(tcp: number[], udp: number[], address?: string): Promise<string> {
  for (const port of tcp) {
    const server = createServer((socket) => {
      socket.on("error", () => socket.destroy());
      socket.end(`${socket.remoteAddress} ${socket.localAddress}`);
    });
    await once(server.listen(port, address ?? "::"), "listening");
  }
  for (const port of udp) {
    const type = address?.includes(":") || !address ? "udp6" : "udp4";
    const socket = createSocket(type);
    socket.on("message", (_, { port: to, address: remote }) => socket.send(remote, to, remote));
    socket.on("error", () => undefined);
    socket.bind(port, address);
    await once(socket, "listening");
  }
  return "listening";
}

function tryTcp(host: string, port: number, from?: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, ...(from !== undefined && { localAddress: from }) });
    const late = setTimeout(() => end("silence"), silenceMs);
    const end = (result: string) => {
      clearTimeout(late);
      socket.destroy();
      resolve(result);
    };
    socket.once("data", (said) => end(`open ${said.toString().replaceAll("::ffff:", "")}`));
    socket.once("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
    socket.once("close", () => end("closed"));
  });
}

function tryUdp(host: string, port: number, from?: string, bytes = 8, times = 1): Promise<string> {
  return new Promise((resolve) => {
    let ended = false;
    const socket = createSocket(host.includes(":") ? "udp6" : "udp4");
    const late = setTimeout(() => end("silence"), silenceMs);
    const end = (result: string) => {
      if (ended) return;
      ended = true;
      clearTimeout(late);
      socket.close(() => resolve(result));
    };
    socket.on("message", (said) => end(`open ${said.toString().replaceAll("::ffff:", "")}`));
    socket.on("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
    const send = () => {
      // connected, so that an ICMP answer comes back as an error
      socket.connect(port, host, (error?: NodeJS.ErrnoException) => {
        if (error) return end(error.code ?? error.message);
        for (let sent = 0; sent < times; sent++) socket.send(Buffer.alloc(bytes));
      });
    };
    if (from === undefined) send();
    else socket.bind(0, from, send);
  });
}

/** Node has no raw sockets. */
const tryIcmp = (host: string): Promise<string> =>
  new Promise((resolve) => execFile(...echoOnce(host, silenceMs), (error, said) => resolve(error ? error.message : said)));

async function perform(probe: Probe): Promise<string> {
  if (probe.do === "listen") return listen(probe.tcp, probe.udp, probe.address);
  if (probe.do === "tcp") return tryTcp(probe.host, probe.port, probe.from);
  if (probe.do === "udp") return tryUdp(probe.host, probe.port, probe.from, probe.bytes, probe.times);
  if (probe.do === "icmp") return tryIcmp(probe.host);
  process.setuid?.(probe.uid);
  return "changed";
}

process.on("message", ({ id, probe }: Asked) => {
  const say = (told: Told) => process.send?.(told);
  perform(probe).then(
    (result) => say({ id, result }),
    (error) => say({ id, error: String(error) }),
  );
});
process.on("disconnect", () => process.exit(0));
process.send?.({ id: 0, result: "ready" });
