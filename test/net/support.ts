import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createConnection, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createIdentity, type Identity } from "../../src/identity/identity.ts";
import { type Clock, systemClock } from "../../src/lib/clock.ts";
import { type Logger, silentLogger } from "../../src/lib/ports.ts";
import { openStore, type Store } from "../../src/lib/store.ts";
import { createNetwork, type NetworkOptions } from "../../src/network/host.ts";
import type { Network } from "../../src/network/network.ts";

export type TestPeer = AsyncDisposable & { identity: Identity; store: Store; network: Network; directory: string };
/** `keep` leaves the directory, for a peer that comes back on it */
type Options = Partial<NetworkOptions> & {
  identity?: Identity;
  directory?: string;
  keep?: boolean;
  log?: Logger;
  clock?: Clock;
  isBonded?: (peer: string) => boolean;
};

const verbose: Logger = process.env.NET_LOG
  ? { ...silentLogger, debug: console.error, info: console.error, warn: console.error, error: console.error, child: () => verbose }
  : silentLogger;

/** A real libp2p peer on loopback with a database of its own; gossip and DHT are on unless told. */
export async function startPeer(options: Options = {}): Promise<TestPeer> {
  const {
    identity = createIdentity(randomBytes(32)),
    directory = await mkdtemp(join(tmpdir(), "mystnode-net-")),
    log = verbose,
    keep = false,
    clock = systemClock,
    isBonded,
    ...rest
  } = options;
  const store = await openStore(directory);
  const clear = async () => {
    await store.close();
    if (!keep) await rm(directory, { recursive: true, force: true });
  };
  let network: Network;
  try {
    network = await createNetwork(
      { identity, store, log, clock, ...(isBonded && { isBonded }) },
      { protocolPrefix: "/mystnode/test", listen: ["/ip4/127.0.0.1/tcp/0"], bootstrap: [], gossip: true, dht: true, ...rest },
    );
  } catch (error) {
    await clear();
    throw error;
  }
  const close = async () => {
    await network.stop();
    await clear();
  };
  return { identity, store, network, directory, [Symbol.asyncDispose]: close };
}

/** Waits until the condition holds. @throws after `ms` */
export async function until(what: string, condition: () => boolean | Promise<boolean>, ms = 20_000): Promise<void> {
  const end = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`${what}: not within ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export const soon = (ms = 15_000): AbortSignal => AbortSignal.timeout(ms);
export const isConnected = (from: TestPeer, to: TestPeer): boolean => from.network.peers().some(({ peer }) => peer === to.network.peerId);

/** Passes TCP on to a peer, until it is told to keep to itself what comes by the connections there are. */
export async function startRelay({ network }: TestPeer) {
  const target = Number(/tcp\/(\d+)/.exec(String(network.addresses()[0]))?.[1]);
  const sockets = new Set<Socket>();
  const server = createServer((inbound) => {
    const outbound = createConnection(target, "127.0.0.1");
    for (const [socket, other] of [
      [inbound, outbound],
      [outbound, inbound],
    ] as const) {
      sockets.add(socket);
      socket.pipe(other);
      socket.on("error", () => other.destroy());
      socket.on("close", () => other.destroy());
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `/ip4/127.0.0.1/tcp/${(server.address() as { port: number }).port}`,
    silence: () => {
      for (const socket of sockets) socket.unpipe().pause();
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
