import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { noise } from "@libp2p/noise";
import { tcp } from "@libp2p/tcp";
import { yamux } from "@libp2p/yamux";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";
import { createIdentity } from "../identity/identity.ts";
import type { Clock } from "../lib/clock.ts";
import { MystError } from "../lib/errors.ts";
import { silentLogger } from "../lib/ports.ts";
import { placeOf } from "./diversity.ts";
import { peerError } from "./peer-error.ts";
import { createStreams } from "./streams.ts";

/** Connects by another way than the node's own: through a session's proxy or tunnel. */
export type Way = (host: string, port: number, signal: AbortSignal) => Promise<Socket>;

type Target = { peer: string /** over TCP, by IP address */; address: string };
type Question = { protocol: string; bytes: Uint8Array; maxAnswer: number };

/**
 * Asks a peer one question as nobody: under a key of its own, on a connection that goes `way`. That the other end is this peer its handshake
 * proves; it learns nothing of who asks, and sees where the way comes out.
 * @throws PEER_UNREACHABLE, PEER_TIMEOUT, PEER_REFUSED, INTERRUPTED, and what `way` throws
 */
export async function askAside(
  { prefix, way, clock }: { prefix: string; way: Way; clock: Clock },
  { peer, address }: Target,
  { protocol, bytes, maxAnswer }: Question,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const place = placeOf(address);
  if (!place) throw new MystError("PEER_UNREACHABLE", `peer ${peer} is at no IP address`, { meta: { peer } });
  await using undo = new AsyncDisposableStack();
  const socket = await way(place.host, place.port, signal);
  undo.defer(() => void socket.destroy());
  socket.on("error", () => undefined);
  const port = await join(socket, undo);
  const host = await createLibp2p({
    privateKey: createIdentity(randomBytes(32)).libp2pKey,
    addresses: { listen: [] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
    connectionManager: { reconnectRetries: 0 },
  });
  undo.defer(() => host.stop());
  try {
    await host.dial(multiaddr(`/ip4/127.0.0.1/tcp/${port}/p2p/${peer}`), { signal });
  } catch (cause) {
    throw peerError(peer, cause, signal);
  }
  const { ask } = createStreams({ host, name: (short) => `${prefix}/${short}`, log: silentLogger, clock });
  return await ask(peer, protocol, bytes, signal, { maxAnswer });
}

/** A port of loopback whose first connection, and no other, is joined to this socket: libp2p dials addresses, not sockets. */
async function join(socket: Socket, undo: AsyncDisposableStack): Promise<number> {
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (local) => {
    server.close();
    undo.defer(() => void local.destroy());
    local.on("error", () => socket.destroy());
    socket.on("close", () => local.destroy());
    local.pipe(socket).pipe(local);
  });
  server.maxConnections = 1;
  server.listen(0, "127.0.0.1");
  undo.defer(() => void server.close());
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}
