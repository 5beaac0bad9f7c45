import { createServer, isIP, type Server, type Socket } from "node:net";
import ipaddr from "ipaddr.js";
import { MystError } from "../../lib/errors.ts";
import { createHttpSide } from "./http-side.ts";
import { socksVersion } from "./socks.ts";
import { greetSocks } from "./socks-side.ts";
import type { OnWanted } from "./wanted.ts";

export type LocalServer = {
  /** where it listens, as "127.0.0.1:1080" or "[::1]:1080" */
  address: string;
  /** Takes no more programs, and hangs up on those that have not said yet what they want. */
  stop(): void;
  /** Hangs up on all. */
  close(): Promise<void>;
};

export type LocalServerOptions = {
  /** "host:port"; port 0 is any that is free */
  listen: string;
  /** other machines may use it; without authentication, so only ever when asked for */
  allowRemote: boolean;
  /** a program has so long to say what it wants */
  handshakeMs: number;
};

const maxClients = 1024;
const isLetter = (byte: number): boolean => /[A-Za-z]/.test(String.fromCharCode(byte));
const leave = (socket: Socket) => socket.destroy();

/**
 * "127.0.0.1:1080", "[::1]:1080" or "localhost:1080".
 * @throws BAD_VALUE for anything else, and for an address other machines can reach unless `allowRemote`
 */
export function parseListen(text: string, allowRemote: boolean): { host: string; port: number } {
  const bad = (why: string, hint = "write it as 127.0.0.1:1080; port 0 is any that is free") =>
    new MystError("BAD_VALUE", `cannot listen on '${text.slice(0, 60)}': ${why}`, { hint });
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+)):(\d{1,5})$/i.exec(text.trim());
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2]?.replace(/^localhost$/i, "127.0.0.1");
  if (host === undefined || isIP(host) === 0 || port > 65_535) throw bad("expected an address and a port");
  if (ipaddr.process(host).range() !== "loopback" && !allowRemote)
    throw bad("other machines could use it", "listen on 127.0.0.1: whoever reaches the proxy spends your money");
  return { host, port };
}

/**
 * A proxy for local programs that speaks SOCKS5 and HTTP on one port. The first byte tells them apart: a SOCKS5 client begins with
 * its version, an HTTP client with the letter of a method. `on` gets what a program asks for, and owns it from there.
 * @throws BAD_VALUE, PORT_IN_USE
 */
export async function createLocalServer(options: LocalServerOptions, on: OnWanted): Promise<LocalServer> {
  const { host, port } = parseListen(options.listen, options.allowRemote);
  /** those that have not asked for a connection of their own */
  const asking = new Set<Socket>();
  const sockets = new Set<Socket>();
  const forget = (socket: Socket) => asking.delete(socket);
  const http = createHttpSide(options, { onWanted: on.connection, onTaken: forget });
  const take = (socket: Socket, first: Buffer) => {
    socket.pause().unshift(first);
    if (first[0] !== socksVersion) return isLetter(first[0] ?? 0) ? http.take(socket) : leave(socket);
    const connection: OnWanted["connection"] = (wanted) => {
      forget(socket);
      on.connection(wanted);
    };
    greetSocks(socket, options.handshakeMs, { connection, datagrams: on.datagrams });
  };
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    asking.add(socket);
    const tooLong = setTimeout(leave, options.handshakeMs, socket);
    const silent = () => leave(socket);
    socket.on("error", () => undefined);
    socket.once("end", silent);
    socket.once("data", (first: Buffer) => {
      clearTimeout(tooLong);
      socket.off("end", silent);
      take(socket, first);
    });
    socket.once("close", () => {
      clearTimeout(tooLong);
      sockets.delete(socket);
      forget(socket);
    });
  });
  server.maxConnections = maxClients;
  await listening(server, host, port);
  const bound = server.address() as { address: string; port: number };
  const closed = new Promise<void>((resolve) => server.once("close", resolve));
  const stop = () => {
    server.close();
    for (const socket of asking) socket.destroy();
  };
  return {
    address: `${bound.address.includes(":") ? `[${bound.address}]` : bound.address}:${bound.port}`,
    stop,
    close: () => {
      stop();
      for (const socket of sockets) socket.destroy();
      return closed;
    },
  };
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      if (cause.code === "EADDRINUSE" || cause.code === "EACCES")
        return reject(
          new MystError("PORT_IN_USE", `port ${port} of ${host} cannot be had`, {
            hint: `end what uses it, or listen on another with --proxy ${host.includes(":") ? `[${host}]` : host}:0`,
            cause,
          }),
        );
      reject(new MystError("BAD_VALUE", `cannot listen on ${host}:${port}`, { hint: "give an address of this machine", cause }));
    });
    server.listen({ host, port }, resolve);
  });
}
