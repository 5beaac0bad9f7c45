import type { Connection, IdentifyResult, PeerId } from "@libp2p/interface";
import { peerIdFromString } from "@libp2p/peer-id";
import type { Libp2p } from "libp2p";
import type { Clock } from "../lib/clock.ts";
import { MystError } from "../lib/errors.ts";
import { deadline, every, type Loop } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import { secretOrder } from "../lib/sample.ts";
import type { Bans } from "./bans.ts";
import { newcomerMs, tooMany } from "./crowding.ts";
import { isRelayed } from "./diversity.ts";
import type { KnownPeer, KnownPeers } from "./known-peers.ts";
import { dialable } from "./multiaddrs.ts";
import type { Network, PeerSummary } from "./network.ts";
import { peerError } from "./peer-error.ts";
import { keepConnected } from "./reconnect.ts";
import { leastRelayed } from "./relay-server.ts";

type Deps = {
  host: Libp2p;
  known: KnownPeers;
  clock: Clock;
  log: Logger;
  bootstrap: KnownPeer[];
  /** those told of on the local network */
  nearby(): KnownPeer[];
  bans: Pick<Bans, "deny" | "denied" | "save">;
  isBonded(peer: string): boolean;
};

export type Peers = Pick<Network, "connect" | "onConnect" | "onDisconnect"> & {
  list(): PeerSummary[];
  /** Waits until a connected peer has shown that it is of this network. @throws PEER_REFUSED when it does not */
  untilIdentified(peer: string, signal: AbortSignal): Promise<void>;
  isConnected(peer: string): boolean;
  addressesOf(peer: { toString(): string }): string[];
  /** where connections come from that others have opened */
  inbound(): string[];
  hangUp(peer: string, error: Error): void;
  /** Begins to dial. */
  start(): void;
  stop(): Promise<void>;
};

const dialMs = 10_000;
/** Whoever is connected says within this that it belongs to our network, or goes. */
const identifyMs = 10_000;
const strangerMs = 60_000;
/** a timer may be a little early by the clock that ages go by */
const earlyMs = 50;
const saveEveryMs = 30_000;
/** in the name of the protocol by which sessions are held */
const inUseMark = "/session/";

/** Who is connected, and that somebody is. A peer counts once it has identified itself in our network's protocol. */
export function createPeers({ host, known, clock, log, bootstrap, nearby, bans, isBonded }: Deps): Peers {
  const identified = new Set<string>();
  const connectListeners = new Set<(peer: string) => void>();
  const disconnectListeners = new Set<(peer: string) => void>();
  const tell = (listeners: Set<(peer: string) => void>, peer: string) => {
    for (const listener of [...listeners]) listener(peer);
  };
  const on = (listeners: Set<(peer: string) => void>) => (listener: (peer: string) => void) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  };
  /** libp2p's own wants a PeerId, and this is asked for each message of gossip */
  const byPeer = new Map<string, Connection[]>();
  const connectionsOf = (peer: string): Connection[] => byPeer.get(peer) ?? [];
  const opened = (direction: "inbound" | "outbound") => host.getConnections().filter((connection) => connection.direction === direction);
  const hangUp = (peer: string, error: Error) => {
    for (const connection of connectionsOf(peer)) connection.abort(error);
  };

  const orderOf = secretOrder();
  const makeRoom = () => {
    const connections = host.getConnections().map(({ remotePeer, remoteAddr, direction, streams, timeline }) => ({
      ...{ peer: remotePeer.toString(), address: remoteAddr.toString(), direction, ageMs: clock.nowMs() - timeline.open },
      inUse: streams.some(({ protocol }) => protocol.includes(inUseMark)),
    }));
    for (const peer of tooMany(connections, (one) => Number(isBonded(one)), orderOf)) hangUp(peer, new Error("too many connections"));
  };
  host.addEventListener("connection:open", ({ detail: connection }: CustomEvent<Connection>) => {
    const peer = connection.remotePeer.toString();
    byPeer.set(peer, [...connectionsOf(peer), connection]);
    makeRoom();
    setTimeout(makeRoom, newcomerMs + earlyMs).unref();
    const timer = setTimeout(() => {
      if (identified.has(peer) || connection.status !== "open") return;
      log.debug("a peer of another network", { peer });
      bans.deny(peer, strangerMs);
      connection.abort(new Error("not identified"));
    }, identifyMs);
    timer.unref();
  });
  host.addEventListener("connection:close", ({ detail: connection }: CustomEvent<Connection>) => {
    const peer = connection.remotePeer.toString();
    const left = connectionsOf(peer).filter((one) => one !== connection);
    if (left.length > 0) byPeer.set(peer, left);
    else byPeer.delete(peer);
  });
  host.addEventListener("peer:identify", ({ detail }: CustomEvent<IdentifyResult>) => {
    const peer = detail.peerId.toString();
    const listening = detail.listenAddrs.map(String);
    // the address that was dialled is proven; what a peer says of itself comes after it
    const proven = detail.connection.direction === "outbound" ? [detail.connection.remoteAddr.toString()] : [];
    // neighbours are to be had without anybody's help
    const direct = [...new Set([...proven, ...listening])].filter((address) => !isRelayed(address));
    known.remember(peer, direct, proven.length > 0 && direct[0] === proven[0]);
    if (identified.has(peer)) return;
    identified.add(peer);
    log.debug("peer connected", { peer, direction: detail.connection.direction });
    tell(connectListeners, peer);
  });
  host.addEventListener("peer:disconnect", ({ detail }: CustomEvent<PeerId>) => {
    const peer = detail.toString();
    if (!identified.delete(peer)) return;
    log.debug("peer disconnected", { peer });
    tell(disconnectListeners, peer);
  });

  const dial = async (peer: string, addresses: string[], signal: AbortSignal) => {
    const limit = deadline(dialMs, signal);
    const targets = dialable(peer, addresses);
    try {
      return await host.dial(targets.length > 0 ? targets : peerIdFromString(peer), { signal: limit });
    } catch (cause) {
      throw peerError(peer, cause, limit);
    }
  };
  const untilIdentified = async (peer: string, signal: AbortSignal) => {
    for (let waited = 0; waited < identifyMs; waited += 50) {
      if (identified.has(peer)) return;
      await clock.sleep(50, signal);
    }
    throw new MystError("PEER_REFUSED", `peer ${peer} is not of this network`, { meta: { peer } });
  };

  const loops: Loop[] = [];
  return {
    list: () =>
      [...identified].flatMap((peer) => {
        const connections = connectionsOf(peer);
        const [first] = connections;
        if (!first) return [];
        const rttMs = connections.find(({ rtt }) => rtt !== undefined)?.rtt;
        const addresses = connections.map(({ remoteAddr }) => remoteAddr.toString());
        return [{ peer, addresses, direction: first.direction, ...(rttMs !== undefined && { rttMs }) }];
      }),
    isConnected: (peer) => identified.has(peer),
    addressesOf: (peer) => connectionsOf(peer.toString()).map(({ remoteAddr }) => remoteAddr.toString()),
    inbound: () => opened("inbound").flatMap(({ remoteAddr, direct }) => (direct ? [remoteAddr.toString()] : [])),
    connect: async (peer, addresses, signal) => {
      if (connectionsOf(peer).some(({ status }) => status === "open")) return;
      const connection = await dial(peer, addresses, signal);
      const { bytes } = connection.limits ?? {};
      if (bytes === undefined || bytes >= leastRelayed) return;
      connection.abort(new Error("too little may pass"));
      throw new MystError("PEER_UNREACHABLE", `the relay to peer ${peer} carries ${bytes} bytes at most`, { meta: { peer } });
    },
    untilIdentified,
    onConnect: on(connectListeners),
    onDisconnect: on(disconnectListeners),
    hangUp,
    start: () => {
      const reconnect = keepConnected(
        {
          clock,
          dial: async ({ peer, addresses }, signal) => {
            await dial(peer, addresses, signal);
            await untilIdentified(peer, signal);
          },
          onError: (error) => log.debug("peer not reached", { error: (error as Error).message }),
        },
        () => ({
          connected: identified,
          chosen: new Set(opened("outbound").map(({ remotePeer }) => remotePeer.toString())),
          bootstrap,
          nearby: nearby(),
          known: known.all(),
          denied: bans.denied,
        }),
      );
      const save = every(
        clock,
        saveEveryMs,
        async () => {
          await known.save();
          await bans.save();
        },
        (error) => log.warn("known peers not saved", { error: (error as Error).message }),
      );
      loops.push(reconnect, save);
    },
    stop: async () => {
      await Promise.all(loops.map((loop) => loop.stop()));
      await known.save();
    },
  };
}
