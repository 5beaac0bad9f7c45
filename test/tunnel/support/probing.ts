import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { connect, type Socket } from "node:net";
import { echoOnAndOn } from "./echo.ts";

/** Where probes go; `name` is how a capture tells of them, see capture.ts. */
export type Probes = { target: string; target6: string; lan: string; lan6: string; stream: number };

export const probePort = 9999;
const everyMs = 25;
/** somebody's public resolver */
const resolver = "9.9.9.9";

/** What a capture sees of each probe that is not kept in. */
export const tracesOf = ({ target, target6, lan, lan6, stream }: Probes): string[] => [
  `${target} tcp ${probePort}`,
  `${target} udp ${probePort}`,
  `${target} tcp ${stream}`,
  `${lan} tcp ${probePort}`,
  `${lan} udp ${probePort}`,
  `${lan} udp 53`,
  `${resolver} udp 53`,
  `${resolver} tcp 53`,
  `${resolver} tcp 853`,
  `${target} icmp`,
  `${lan} icmp`,
  `${target6} udp`,
  `${target6} tcp`,
  `${lan6} udp`,
];

/**
 * Sends as any program might: new connections, datagrams and echo requests to the internet, to the same network and over IPv6, questions to
 * a resolver, and a connection that has stood for long, whose packets are sent again when they are lost. Until disposed of.
 */
export function startProbing({ target, target6, lan, lan6, stream }: Probes): Disposable & { rounds(): number } {
  const udp4 = createSocket("udp4");
  const udp6 = createSocket("udp6");
  for (const socket of [udp4, udp6]) {
    socket.on("error", () => undefined);
    socket.unref();
  }
  const message = Buffer.alloc(100, 1);
  const echoes = [target, lan].map((host) => spawn(...echoOnAndOn(host, 4 * everyMs), { stdio: "ignore" }));
  let standing: Socket | undefined;
  let rounds = 0;
  const attempt = (host: string, port: number) => {
    const socket = connect({ host, port });
    const late = setTimeout(() => socket.destroy(), 10 * everyMs);
    socket.on("connect", () => socket.destroy());
    socket.on("error", () => undefined);
    socket.on("close", () => clearTimeout(late));
  };
  const stand = () => {
    const socket = connect({ host: target, port: stream });
    const ask = Buffer.alloc(9);
    ask.writeBigUInt64BE(1n << 40n, 1);
    socket.on("connect", () => socket.write(ask));
    socket.on("error", () => undefined);
    socket.on("close", () => {
      if (standing === socket) standing = undefined;
    });
    return socket;
  };
  const round = () => {
    rounds += 1;
    standing ??= stand();
    if (standing.writable && !standing.connecting && standing.writableLength < 65_536) standing.write(message);
    for (const host of [target, lan]) udp4.send(message, probePort, host, () => undefined);
    for (const host of [resolver, lan]) udp4.send(message, 53, host, () => undefined);
    for (const host of [target6, lan6]) udp6.send(message, probePort, host, () => undefined);
    if (rounds % 4 !== 0) return;
    for (const host of [target, lan, target6]) attempt(host, probePort);
    for (const port of [53, 853]) attempt(resolver, port);
  };
  const timer = setInterval(round, everyMs);
  return {
    rounds: () => rounds,
    [Symbol.dispose]: () => {
      clearInterval(timer);
      for (const echo of echoes) echo.kill("SIGKILL");
      const socket = standing;
      standing = undefined;
      socket?.destroy();
      udp4.close();
      udp6.close();
    },
  };
}
