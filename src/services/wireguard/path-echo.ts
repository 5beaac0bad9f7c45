import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { setTimeout as wait } from "node:timers/promises";
import { MystError } from "../../lib/errors.ts";
import { pathPort } from "./types.ts";

/** Of IPv4 and UDP: what a packet is longer than its datagram. */
const headerBytes = 28;
const magic = Buffer.from("mystpath");
const nonceBytes = 8;

/** The exit's side: sends back to clients what they send to see which packets pass, to the letter; nothing else is answered. @throws TUNNEL_FAILED */
export async function servePaths(gateway: string, port = pathPort): Promise<AsyncDisposable & { port: number }> {
  const socket = createSocket("udp4");
  socket.on("message", (datagram, { address, port: from }) => {
    if (datagram.length >= magic.length + nonceBytes && datagram.subarray(0, magic.length).equals(magic))
      socket.send(datagram, from, address, () => undefined);
  });
  try {
    socket.bind(port, gateway);
    await once(socket, "listening");
  } catch (cause) {
    throw new MystError("TUNNEL_FAILED", `cannot answer clients at ${gateway}, port ${port}`, {
      hint: "another program may listen there",
      cause,
    });
  }
  socket.on("error", () => undefined);
  return { port: socket.address().port, [Symbol.asyncDispose]: () => new Promise((done) => socket.close(() => done())) };
}

export type PathRound = {
  /** our own address in the tunnel, and the exit's */
  from: string;
  to: string;
  port?: number;
  sizes: number[];
  /** each is sent so often, so far apart, unless it has come back; default 5, 150 ms */
  tries?: number;
  apartMs?: number;
};

/** Which sizes of packet reach the exit and come back. They bear DF, since no route of ours is narrower. @throws where we have no such address */
export async function echoed({ from, to, port = pathPort, sizes, tries = 5, apartMs = 150 }: PathRound): Promise<number[]> {
  const socket = createSocket("udp4");
  const back = new Set<number>();
  const all = Promise.withResolvers<void>();
  const nonce = randomBytes(nonceBytes);
  try {
    socket.bind(0, from);
    await once(socket, "listening");
    socket.on("error", () => undefined);
    socket.on("message", (datagram) => {
      if (!datagram.subarray(magic.length, magic.length + nonceBytes).equals(nonce)) return;
      back.add(datagram.length + headerBytes);
      if (sizes.every((size) => back.has(size))) all.resolve();
    });
    for (let attempt = 0; attempt < tries && back.size < sizes.length; attempt += 1) {
      for (const size of sizes)
        if (!back.has(size)) socket.send(Buffer.concat([magic, nonce], size - headerBytes), port, to, () => undefined);
      await Promise.race([all.promise, wait(apartMs)]);
    }
    return sizes.filter((size) => back.has(size));
  } finally {
    socket.close();
  }
}
