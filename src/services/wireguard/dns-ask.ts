import { randomInt } from "node:crypto";
import { createSocket } from "node:dgram";
import { connect, isIPv6, type Socket } from "node:net";
import { MystError } from "../../lib/errors.ts";
import { type Question, questionOf, withId } from "./dns-message.ts";

export type NameServer = { address: string; port: number };

/** what an answer over UDP may have; more than anybody asks for */
const maxUdpBytes = 4_096;

/**
 * Asks one name server, from a port and under an id that nobody can guess, and takes the first answer to this very question.
 * @returns the answer under the id of `query`
 * @throws PEER_TIMEOUT when `signal` fires first, PEER_UNREACHABLE
 */
export function askByUdp(server: NameServer, query: Uint8Array, question: Question, signal: AbortSignal): Promise<Uint8Array> {
  const socket = createSocket(isIPv6(server.address) ? "udp6" : "udp4");
  const id = randomInt(0x1_00_00);
  return new Promise<Uint8Array>((resolve, reject) => {
    const late = () => reject(new MystError("PEER_TIMEOUT", "the name server does not answer"));
    if (signal.aborted) return late();
    signal.addEventListener("abort", late, { once: true });
    socket.on("error", (cause) => reject(new MystError("PEER_UNREACHABLE", "the name server cannot be asked", { cause })));
    socket.on("message", (message) => {
      if (message.length <= maxUdpBytes && answers(message, id, question)) resolve(withId(message, question.id));
    });
    // connected, so that nobody else's packets come in
    socket.connect(server.port, server.address, () => socket.send(withId(query, id)));
  }).finally(() => socket.close());
}

const answers = (message: Uint8Array, id: number, question: Question): boolean => {
  const found = questionOf(message, "answer");
  return found !== undefined && found.id === id && found.key === question.key;
};

/** The same over TCP, where answers may have 65,535 bytes. */
export async function askByTcp(server: NameServer, query: Uint8Array, question: Question, signal: AbortSignal): Promise<Uint8Array> {
  const socket = connect({ host: server.address, port: server.port });
  const giveUp = () => socket.destroy(new MystError("PEER_TIMEOUT", "the name server does not answer"));
  signal.addEventListener("abort", giveUp, { once: true });
  try {
    if (signal.aborted) giveUp();
    const id = randomInt(0x1_00_00);
    socket.write(prefixed(withId(query, id)));
    for await (const message of messages(socket, 0xff_ff)) {
      if (!answers(message, id, question)) break;
      return withId(message, question.id);
    }
    throw new MystError("MALFORMED", "the name server answers something else");
  } catch (cause) {
    if (cause instanceof MystError) throw cause;
    throw new MystError("PEER_UNREACHABLE", "the name server cannot be asked", { cause });
  } finally {
    signal.removeEventListener("abort", giveUp);
    socket.destroy();
  }
}

/** A message as it goes over TCP: behind two bytes of length. */
export function prefixed(message: Uint8Array): Uint8Array {
  const framed = new Uint8Array(2 + message.length);
  new DataView(framed.buffer).setUint16(0, message.length);
  framed.set(message, 2);
  return framed;
}

/** Messages of a TCP connection, read one at a time. @throws MALFORMED for one over `max` bytes */
export async function* messages(socket: Socket, max: number): AsyncGenerator<Uint8Array> {
  let kept: Buffer = Buffer.alloc(0);
  for await (const chunk of socket) {
    kept = Buffer.concat([kept, chunk as Buffer]);
    while (kept.length >= 2) {
      const length = kept.readUInt16BE(0);
      if (length > max) throw new MystError("MALFORMED", `a message of ${length} bytes, at most ${max} allowed`);
      if (kept.length < 2 + length) break;
      yield Uint8Array.from(kept.subarray(2, 2 + length));
      kept = kept.subarray(2 + length);
    }
  }
}
