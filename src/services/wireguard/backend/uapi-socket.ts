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

function createUapiSocket(socket: Socket): UapiSocket {
  const waiting: { resolve(answer: string): void; reject(error: unknown): void; late: NodeJS.Timeout }[] = [];
  let buffer = "";
  let gone: MystError | undefined;
  const fail = (cause?: unknown) => {
    gone ??= new MystError("INTERNAL", "the tunnel process does not answer", cause === undefined ? {} : { cause });
    for (const { reject, late } of waiting.splice(0)) {
      clearTimeout(late);
      reject(gone);
    }
    socket.destroy();
  };
  socket.setEncoding("utf8");
  socket.on("error", fail);
  socket.on("close", () => fail());
  socket.on("data", (chunk: string) => {
    // an answer ends with an empty line; the last of them may have begun with the chunk before
    const from = Math.max(0, buffer.length - 1);
    buffer += chunk;
    if (!buffer.includes("\n\n", from)) return;
    const parts = buffer.split("\n\n");
    buffer = parts.pop() ?? "";
    for (const answer of parts) {
      const next = waiting.shift();
      if (!next) return fail();
      clearTimeout(next.late);
      next.resolve(answer);
    }
  });
  return {
    ask: (request) =>
      new Promise((resolve, reject) => {
        if (gone) return reject(gone);
        waiting.push({ resolve, reject, late: setTimeout(fail, answerMs) });
        socket.write(request);
      }),
    close: () => fail(),
  };
}
