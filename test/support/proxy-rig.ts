import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import { silentLogger } from "../../src/lib/ports.ts";
import type { Network } from "../../src/network/network.ts";
import { createProxyConsumer, type ProxyConsumerOptions } from "../../src/services/proxy/consumer.ts";
import { createProxyProvider, type ProxyProviderOptions } from "../../src/services/proxy/provider.ts";
import type { Resolve } from "../../src/services/proxy/resolve.ts";
import { socksConnect } from "../../src/services/proxy/socks-client.ts";
import type { Grant, ServiceHandle, ServiceProvider } from "../../src/services/service.ts";
import { networkPair } from "./byte-pipe.ts";

/** Two peers that reach one another, and how to part them. */
export type Pair = AsyncDisposable & {
  consumer: Pick<Network, "openBytes" | "openFrames">;
  exit: Pick<Network, "handleBytes" | "handleFrames" | "addresses">;
  consumerPeer: string;
  exitPeer: string;
};
export type MakePair = () => Promise<Pair>;

/** Two peers with streams in memory between them. */
export function inMemory(): Pair {
  const [consumer, exit] = networkPair("consumer", "exit");
  return { consumer, exit, consumerPeer: "consumer", exitPeer: "exit", [Symbol.asyncDispose]: async () => undefined };
}

export type Rig = AsyncDisposable & {
  grant: Grant;
  handle: ServiceHandle;
  provider: ServiceProvider;
  /** what the consumer was told it has used, each time */
  told: bigint[];
  /** a connection to a target through the proxy */
  connect(target: { port: number; host?: string }): Promise<Socket>;
};

export type RigOptions = {
  provider?: Partial<ProxyProviderOptions>;
  consumer?: Partial<ProxyConsumerOptions>;
  resolve?: Resolve;
  /** bytes allowed at first; default: any number */
  allow?: bigint;
  /** whose session it is; default the consumer's */
  admitted?: string;
  clock?: Pick<Clock, "nowMs">;
};

let sessions = 0;

/** An exit with one admitted session, and its consumer with an open SOCKS server. */
export async function proxyRig(pair: Pair, options: RigOptions = {}): Promise<Rig> {
  const log = silentLogger;
  const { clock = systemClock } = options;
  const provider = createProxyProvider(
    { network: pair.exit, log, clock, ...(options.resolve && { resolve: options.resolve }) },
    { allow: ["127.0.0.0/8", "[::1]"], block: [], ...options.provider },
  );
  sessions += 1;
  const sessionId = sessions.toString(16).padStart(32, "0");
  const grant = await provider.admit({ sessionId, peer: options.admitted ?? pair.consumerPeer });
  grant.allow(options.allow ?? 2n ** 60n);
  const told: bigint[] = [];
  const consumer = createProxyConsumer({ network: pair.consumer, log, clock }, { listen: "127.0.0.1:0", ...options.consumer });
  const ended = new AbortController();
  const handle = await consumer.open({
    sessionId,
    peer: pair.exitPeer,
    connection: grant.connection,
    onUsage: (bytes) => told.push(bytes),
    signal: ended.signal,
  });
  const socks = handle.endpoint.socks ?? "";
  return {
    grant,
    handle,
    provider,
    told,
    connect: async ({ host = "127.0.0.1", port }) => {
      const socket = await socksConnect({ host, port, socks });
      socket.on("error", () => undefined);
      return socket;
    },
    [Symbol.asyncDispose]: async () => {
      await handle.close();
      await provider[Symbol.asyncDispose]();
    },
  };
}

export type Target = AsyncDisposable & {
  port: number;
  sockets: Set<Socket>;
  /** bytes of all connections together that have come */
  received(): number;
};

/** A server for the proxy to carry to. Its sockets are half-open capable and swallow errors. */
export async function startTarget(onSocket: (socket: Socket) => void, host = "127.0.0.1"): Promise<Target> {
  const sockets = new Set<Socket>();
  let received = 0;
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => {
      received += socket.bytesRead;
      sockets.delete(socket);
    });
    onSocket(socket);
  });
  server.listen(0, host);
  await once(server, "listening");
  return {
    port: (server.address() as { port: number }).port,
    sockets,
    received: () => [...sockets].reduce((sum, socket) => sum + socket.bytesRead, received),
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The same `length` bytes each time, for a seed. */
export function pattern(length: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = seed * 2_654_435_761 || 1;
  for (let i = 0; i + 4 <= length; i += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes.writeInt32LE(state | 0, i);
  }
  for (let i = length - (length % 4); i < length; i += 1) bytes[i] = i & 255;
  return bytes;
}

export const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Everything a socket brings until its end; rejects with what broke it. */
export async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("end", () => resolve(Buffer.concat(chunks)));
  socket.on("error", reject);
  socket.on("close", () => reject(new Error("closed before its end")));
  return promise;
}

/** How many bytes a socket brings, counted as they come. */
export function counting(socket: Socket): () => number {
  let bytes = 0;
  socket.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
  });
  return () => bytes;
}

export const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
