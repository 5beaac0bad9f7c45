import { connect, type Socket } from "node:net";
import { MystError } from "../../../lib/errors.ts";

export type UapiSocket = {
  /** One request to its answer; requests go out in the order of the calls. @throws INTERNAL when the socket has gone */
  ask(request: string): Promise<string>;
  close(): void;
};

/** Both implementations look here; the path is of the file system, not of a network namespace. */
export const uapiPath = (ifname: string): string => `/var/run/wireguard/${ifname}.sock`;

const answerMs = 5000;

/** A connection to a running device, kept for its life. @throws what connecting throws */
export function connectUapi(path: string): Promise<UapiSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(createUapiSocket(socket));
    });
  });
}

/**
 * One request at a time: wireguard-go reads a `set` through a buffer of its own and throws away what it has read beyond, so a request
 * that follows before the answer may never be seen.
 */
function createUapiSocket(socket: Socket): UapiSocket {
  /** the first is the one that was sent */
  const waiting: { request: string; resolve(answer: string): void; reject(error: unknown): void }[] = [];
  let late: NodeJS.Timeout | undefined;
  let buffer = "";
  let gone: MystError | undefined;
  const fail = (cause?: unknown) => {
    clearTimeout(late);
    gone ??= new MystError("INTERNAL", "the tunnel process does not answer", cause === undefined ? {} : { cause });
    for (const { reject } of waiting.splice(0)) reject(gone);
    socket.destroy();
  };
  const sendFirst = () => {
    const [first] = waiting;
    if (!first) return;
    late = setTimeout(fail, answerMs);
    socket.write(first.request);
  };
  socket.setEncoding("utf8");
  socket.on("error", fail);
  socket.on("close", () => fail());
  socket.on("data", (chunk: string) => {
    // an answer ends with an empty line, which may have begun with the chunk before
    const from = Math.max(0, buffer.length - 1);
    buffer += chunk;
    const end = buffer.indexOf("\n\n", from);
    if (end < 0) return;
    // more than one answer to the one request, or an answer to none
    if (waiting.length === 0 || end + 2 < buffer.length) return fail();
    clearTimeout(late);
    waiting.shift()?.resolve(buffer.slice(0, end));
    buffer = "";
    sendFirst();
  });
  return {
    ask: (request) =>
      new Promise((resolve, reject) => {
        if (gone) return reject(gone);
        waiting.push({ request, resolve, reject });
        if (waiting.length === 1) sendFirst();
      }),
    close: () => fail(),
  };
}
