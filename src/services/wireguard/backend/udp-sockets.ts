import { readFileSync } from "node:fs";

export type UdpSocket = { port: number /** packets thrown away because it was full */; drops: number };

/** The UDP sockets on a port of this network namespace, of both families. */
export const udpSockets = (port: number): UdpSocket[] =>
  ["udp", "udp6"].flatMap((family) => parseSockets(readTable(`/proc/self/net/${family}`))).filter((socket) => socket.port === port);

/** Text of /proc/net/udp: the second field is address:port in hexadecimal, the last counts drops. */
export const parseSockets = (table: string): UdpSocket[] =>
  table
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields.length > 2)
    .map((fields) => ({ port: Number.parseInt(fields[1]?.split(":").at(-1) ?? "", 16), drops: Number(fields.at(-1)) }));

function readTable(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
