import { createServer, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { forward } from "./http-forward.ts";
import { badRequest, bodyOf, headersOf, type Refusal, refusal } from "./http-texts.ts";
import { type Destination, hangUp, type Wanted } from "./wanted.ts";

export type HttpSide = {
  /** Serves a program that speaks HTTP, from its first byte on. */
  take(socket: Socket): void;
};

type Told = {
  onWanted(wanted: Wanted): void;
  /** This socket carries one connection from now on, and no more requests. */
  onTaken(socket: Socket): void;
};

/** how long a program may keep its connection for the next request */
const keepAliveMs = 30_000;

/**
 * The proxy for programs that speak HTTP/1: CONNECT gives them a connection, any other request for an absolute http:// URL is made on
 * their behalf, each over a connection of its own. Node's server reads the requests; it listens nowhere.
 */
export function createHttpSide({ handshakeMs }: { handshakeMs: number }, { onWanted, onTaken }: Told): HttpSide {
  const timers = new WeakMap<object, NodeJS.Timeout>();
  const patient = (socket: Socket) => clearTimeout(timers.get(socket));
  // the server's own limits on time take effect only where it listens
  const impatient = (socket: Socket, ms: number) => {
    patient(socket);
    if (socket.destroyed) return;
    timers.set(
      socket,
      setTimeout(() => socket.destroy(), ms),
    );
  };
  const server = createServer({ keepAliveTimeout: keepAliveMs, requestTimeout: 0 });
  server.on("connect", (request, stream, head: Buffer) => {
    const socket = stream as Socket;
    patient(socket);
    onTaken(socket);
    const destination = authorityOf(request.url ?? "");
    if (!destination) return hangUp(socket, onTheWire(badRequest("CONNECT names a host and a port, as example.org:443")));
    if (head.length > 0) socket.unshift(head);
    const answer: Wanted["answer"] = (code) => {
      if (code === "ok") socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
      else hangUp(socket, onTheWire(refusal(code, destination)));
    };
    onWanted({ ...destination, end: socket, answer });
  });
  server.on("request", (request, response) => {
    const { socket } = request;
    patient(socket);
    response.once("close", () => impatient(socket, keepAliveMs + handshakeMs));
    forward(request, response, onWanted);
  });
  return {
    take: (socket) => {
      impatient(socket, handshakeMs);
      socket.once("close", () => patient(socket));
      server.emit("connection", socket);
      socket.resume();
    },
  };
}

/** "example.org:443" or "[2001:db8::1]:443"; whether there is such a host, and whether it may be reached, the exit says. */
export function authorityOf(text: string): Destination | undefined {
  const match = /^(?:\[([0-9a-f:.]{2,45})\]|([\x21-\x7e]{1,255}?)):(\d{1,5})$/i.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || /[:/@?#\\[\]]/.test(match?.[2] ?? "") || port < 1 || port > 65_535 ? undefined : { host, port };
}

/** A whole answer, where no server of Node's writes it any more. */
function onTheWire(refused: Refusal): string {
  const lines = [...headersOf(refused), "Connection", "close"].map((text, i) => (i % 2 === 0 ? `${text}: ` : `${text}\r\n`));
  return `HTTP/1.1 ${refused.status} ${STATUS_CODES[refused.status]}\r\n${lines.join("")}\r\n${bodyOf(refused)}`;
}
