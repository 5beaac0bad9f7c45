import { once } from "node:events";
import { createServer as createWeb } from "node:http";
import { createServer, type Socket } from "node:net";

const chunk = Buffer.alloc(64 * 1024, 7);

/** Writes so many bytes, and ends where `end` says so. */
export function pour(socket: Socket, bytes: number, end = false): void {
  let left = bytes;
  const more = () => {
    while (left > 0 && !socket.destroyed) {
      const part = left < chunk.length ? chunk.subarray(0, left) : chunk;
      left -= part.length;
      if (!socket.write(part)) return;
    }
    socket.off("drain", more);
    if (end) socket.end();
  };
  socket.on("drain", more);
  more();
}

/** The first 9 bytes say what is wanted: 1 to be sent so many bytes, 0 to have them taken, which one byte then tells. */
function stream(socket: Socket): void {
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  socket.once("data", (first: Buffer) => {
    const bytes = Number(first.readBigUInt64BE(1));
    if (first[0] === 1) return pour(socket.resume(), bytes, true);
    let left = bytes - first.length + 9;
    const finish = () => left === 0 && socket.end("!");
    socket.on("data", (more: Buffer) => {
      left -= more.length;
      finish();
    });
    finish();
  });
}

/** A web server that tells every caller the address it sees, and one for plain transfers. */
export async function startTargetServers({ streamPort, webPort }: { streamPort: number; webPort: number }): Promise<void> {
  const web = createWeb((request, response) => {
    response.setHeader("connection", "close");
    response.end(`${request.socket.remoteAddress}`.replace("::ffff:", ""));
  }).listen(webPort, "::");
  const streams = createServer(stream).listen(streamPort, "::");
  await Promise.all([once(web, "listening"), once(streams, "listening")]);
}
