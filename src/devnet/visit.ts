import { request } from "node:http";
import { socksConnect } from "../services/proxy/socks-client.ts";
import { callerHeader } from "./web-server.ts";

export type Visit = {
  /** the address that the server saw the request come from */
  caller: string;
  bytes: number;
  /** since the visit began */
  firstByteMs: number;
  totalMs: number;
};

export type VisitOptions = {
  /** host:port of a SOCKS5 server to go through; default: straight */
  socks?: string;
  onBytes?(bytes: number): void;
  signal?: AbortSignal;
};

/** Fetches a page of the devnet's web server and reads it to its end, keeping nothing of it. */
export async function visit(url: string, { socks, onBytes, signal }: VisitOptions = {}): Promise<Visit> {
  const { hostname, port } = new URL(url);
  const beganMs = performance.now();
  const socket =
    socks === undefined ? undefined : await socksConnect({ host: hostname, port: Number(port || 80), socks, ...(signal && { signal }) });
  const { promise, resolve, reject } = Promise.withResolvers<Visit>();
  const asked = request(url, {
    // an agent, even one of its own, would open a connection by itself
    ...(socket ? { createConnection: () => socket } : { agent: false }),
    ...(signal && { signal }),
  });
  asked.on("error", reject);
  asked.on("response", (response) => {
    let bytes = 0;
    let firstByteMs = 0;
    response.on("data", (chunk: Buffer) => {
      if (bytes === 0) firstByteMs = performance.now() - beganMs;
      bytes += chunk.length;
      onBytes?.(bytes);
    });
    response.on("error", reject);
    response.on("end", () =>
      resolve({ caller: String(response.headers[callerHeader] ?? ""), bytes, firstByteMs, totalMs: performance.now() - beganMs }),
    );
  });
  asked.end();
  try {
    return await promise;
  } finally {
    socket?.destroy();
  }
}
