import { createServer, isIP, type Server, type Socket } from "node:net";
import ipaddr from "ipaddr.js";
import { MystError } from "../../lib/errors.ts";
import { newSocks, stepSocks } from "./socks.ts";

export type Destination = { host: string; port: number };

export type SocksServer = {
  /** where it listens, as "127.0.0.1:1080" or "[::1]:1080" */
  address: string;
  /** Takes no more programs, and hangs up on those whose handshake is not done. */
  stop(): void;
  /** Hangs up on all. */
  close(): Promise<void>;
};

export type SocksServerOptions = {
  /** "host:port"; port 0 is any that is free */
  listen: string;
  /** other machines may use it; without authentication, so only ever when asked for */
  allowRemote: boolean;
  /** a program has so long for its handshake */
  handshakeMs: number;
};

const maxClients = 1024;
const hangUpMs = 1_000;

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
 * A SOCKS5 server for local programs. `onRequest` gets a paused socket and where it wants to go, and owns it from there.
 * @throws BAD_VALUE, PORT_IN_USE
 */
export async function createSocksServer(
  options: SocksServerOptions,
  onRequest: (socket: Socket, destination: Destination) => void,
): Promise<SocksServer> {
  const { host, port } = parseListen(options.listen, options.allowRemote);
  const greeting = new Set<Socket>();
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    greeting.add(socket);
    socket.once("close", () => sockets.delete(socket));
    greet(socket, options.handshakeMs, (destination) => {
      greeting.delete(socket);
      if (destination) onRequest(socket, destination);
    });
  });
  server.maxConnections = maxClients;
  await listening(server, host, port);
  const bound = server.address() as { address: string; port: number };
  const closed = new Promise<void>((resolve) => server.once("close", resolve));
  const stop = () => {
    server.close();
    for (const socket of greeting) socket.destroy();
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

/** Ends a connection with a last answer: what the program still sends is of no interest, and its end is not waited for long. */
export function hangUp(socket: Socket, answer?: Uint8Array): void {
  socket.setTimeout(hangUpMs, () => socket.destroy());
  socket.resume();
  if (answer) socket.end(answer);
  else socket.end();
}

/** Does the handshake; a program that is slow, or speaks something else, is hung up on. `onDone` comes once. */
function greet(socket: Socket, handshakeMs: number, onDone: (destination: Destination | undefined) => void): void {
  let state = newSocks;
  const tooLong = setTimeout(() => socket.destroy(), handshakeMs);
  const over = (destination?: Destination) => {
    clearTimeout(tooLong);
    socket.off("data", onData).off("end", onEnd).off("close", onClose).pause();
    onDone(destination);
  };
  const onData = (bytes: Uint8Array) => {
    const step = stepSocks(state, bytes);
    state = step.state;
    for (const event of step.events) {
      if (event.type === "answer") {
        socket.write(event.bytes);
      } else if (event.type === "refuse") {
        over();
        hangUp(socket);
      } else {
        if (event.rest.length > 0) socket.unshift(event.rest);
        over(event);
      }
    }
  };
  const onEnd = () => socket.destroy();
  const onClose = () => over();
  socket.on("error", () => undefined);
  socket.on("data", onData).on("end", onEnd).on("close", onClose);
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
