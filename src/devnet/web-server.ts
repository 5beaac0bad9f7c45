import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline, Readable } from "node:stream";

export type WebServer = AsyncDisposable & {
  /** http://host:port */
  url: string;
  /** host:port, as an exit's allow list names it */
  hostPort: string;
  stop(): Promise<void>;
};

/** Header that says from which address the server saw the request come. */
export const callerHeader = "x-caller-address";
const maxBytes = 1 << 30;
const block = Buffer.alloc(64 * 1024, "mystnode ");

/**
 * The site that devnet's consumer visits: it tells every caller the address it sees (as a header, and as the body of `/`) and
 * gives `/bytes?n=N` as many bytes as asked for, at most 1 GiB, at next to no cost. On loopback and any free port unless told otherwise.
 */
export async function startWebServer({ host = "127.0.0.1", port = 0 } = {}): Promise<WebServer> {
  const server = createServer(respond);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, resolve);
  });
  const hostPort = `${host.includes(":") ? `[${host}]` : host}:${(server.address() as AddressInfo).port}`;
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return { url: `http://${hostPort}`, hostPort, stop, [Symbol.asyncDispose]: stop };
}

function respond(request: IncomingMessage, response: ServerResponse): void {
  const caller = request.socket.remoteAddress ?? "";
  response.setHeader(callerHeader, caller);
  response.setHeader("connection", "close");
  const url = new URL(request.url ?? "/", "http://localhost");
  if (url.pathname === "/") return void response.end(`${caller}\n`);
  const wanted = url.searchParams.get("n") ?? "";
  if (url.pathname !== "/bytes") return void response.writeHead(404).end();
  if (!/^\d{1,10}$/.test(wanted) || Number(wanted) > maxBytes) return void response.writeHead(400).end();
  response.writeHead(200, { "content-type": "application/octet-stream", "content-length": wanted });
  // a caller that goes away in mid-download is no failure of the server
  pipeline(Readable.from(blocks(Number(wanted)), { objectMode: false }), response, () => undefined);
}

function* blocks(bytes: number): Generator<Buffer> {
  for (let left = bytes; left > 0; left -= block.length) yield left < block.length ? block.subarray(0, left) : block;
}
