import { execFileSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import ipaddr from "ipaddr.js";

/** What has come to a place where nobody may get: "tcp 10.0.0.1 80". */
export type Arrival = string;

export type Traps = AsyncDisposable & {
  /** all that has come but to the public addresses that are there to be reached */
  caught: Arrival[];
  /** how much has come to those */
  reached(): number;
  /** the port that the last datagram to those came from */
  asker(): number;
};

/** The public internet, as far as it is needed. */
export const publicHosts = { v4: "8.8.8.8", v6: "2606:4700::1111", nat64: "64:ff9b::808:808" };
/** this machine's own public address, which stands for the exit itself */
export const ownHost = "9.9.9.10";
/** the exit's own: SSH, its API where that listens on TCP */
export const ownPorts = [22, 4450];
export const mailPorts = [25, 465, 587];
const webPorts = [80, 443, 8080];
const udpPorts = [53, 123, 1900, 4450, ...mailPorts];

const may = (address: string, port: number) => Object.values(publicHosts).includes(address) && !mailPorts.includes(port);
const plain = (address = "") => ipaddr.process(address).toString();

/** Makes every address there is one of this machine: whatever is dialled arrives. To be called in a network namespace of our own. */
export function becomeEverywhere(): void {
  const ip = (...args: string[]) => execFileSync("ip", args, { stdio: "pipe" });
  ip("route", "add", "local", "0.0.0.0/0", "dev", "lo");
  ip("-6", "route", "add", "local", "::/0", "dev", "lo");
  // sockets may be bound to them
  writeFileSync("/proc/sys/net/ipv6/ip_nonlocal_bind", "1");
  ip("address", "add", `${ownHost}/32`, "dev", "lo");
}

/** Listens everywhere, on the ports that are tried. What comes over UDP to a public host is echoed. */
export async function startTraps(): Promise<Traps> {
  await using undo = new AsyncDisposableStack();
  const caught: Arrival[] = [];
  let reached = 0;
  let asker = 0;
  const came = (protocol: string, address: string, port: number) => {
    if (may(address, port)) reached += 1;
    else caught.push(`${protocol} ${address} ${port}`);
  };
  for (const port of [...ownPorts, ...mailPorts, ...webPorts]) {
    const server = createServer((socket) => {
      came("tcp", plain(socket.localAddress), port);
      socket.on("error", () => undefined);
      // an answer of HTTP, for who speaks that
      socket.once("data", () => socket.end("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"));
    });
    server.listen(port, "::");
    await once(server, "listening");
    undo.defer(() => new Promise<void>((resolve) => void server.close(() => resolve())));
  }
  const listen = async (kind: "udp4" | "udp6", address: string, port: number) => {
    const socket = createSocket({ type: kind, ipv6Only: kind === "udp6", reuseAddr: true });
    socket.on("message", (message, from) => {
      came("udp", address, port);
      if (!may(address, port)) return;
      asker = from.port;
      socket.send(message, from.port, from.address);
    });
    socket.bind(port, address);
    await once(socket, "listening");
    undo.defer(() => new Promise<void>((resolve) => void socket.close(resolve)));
  };
  for (const port of udpPorts) {
    // a socket that is bound to the one address gets what is for it
    for (const [kind, all] of [["udp4", "0.0.0.0"] as const, ["udp6", "::"] as const]) await listen(kind, all, port);
    await listen("udp4", publicHosts.v4, port);
    for (const address of [publicHosts.v6, publicHosts.nat64]) await listen("udp6", address, port);
  }
  const opened = undo.move();
  return { caught, reached: () => reached, asker: () => asker, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}
