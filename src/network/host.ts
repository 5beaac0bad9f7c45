import { networkInterfaces } from "node:os";
import type { GossipSub } from "@chainsafe/libp2p-gossipsub";
import type { CircuitRelayService } from "@libp2p/circuit-relay-v2";
import { identify } from "@libp2p/identify";
import type { KadDHT } from "@libp2p/kad-dht";
import { noise } from "@libp2p/noise";
import { type Ping, ping } from "@libp2p/ping";
import { tcp } from "@libp2p/tcp";
import { createLibp2p, type Libp2p } from "libp2p";
import type { Identity } from "../identity/identity.ts";
import type { Clock } from "../lib/clock.ts";
import { MystError } from "../lib/errors.ts";
import { deadline } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import type { Store } from "../lib/store.ts";
import { openBans } from "./bans.ts";
import { hardLimit } from "./crowding.ts";
import { createDatastore } from "./datastore.ts";
import { createDht, dhtService, guardTable, tagSeldom } from "./dht.ts";
import { answerDialBacks, createAsker, judge } from "./dial-back.ts";
import { isLoopback, isRelayed, networkOf } from "./diversity.ts";
import { createGater } from "./gater.ts";
import { createGossip, gossipService } from "./gossip.ts";
import { openKnownPeers } from "./known-peers.ts";
import { createLiveness } from "./liveness.ts";
import { parseAddresses, parseBootstrap } from "./multiaddrs.ts";
import { yamuxMuxer } from "./muxer.ts";
import { createNearby, nearbyService } from "./nearby.ts";
import type { Network } from "./network.ts";
import { announceOwnAddresses, type OwnAddresses } from "./own-addresses.ts";
import { createPeers } from "./peers.ts";
import { keepPulse } from "./pulse.ts";
import { createQuota } from "./quota.ts";
import { keepReached } from "./reaching.ts";
import { createRelayTransport, planListening, type RelayUse, throughRelays } from "./relay-client.ts";
import { guardRelay, type RelayOffer, relayService, roomForReservation } from "./relay-server.ts";
import { createStreams } from "./streams.ts";

export type NetworkDeps = {
  identity: Identity;
  store: Store;
  log: Logger;
  clock: Clock;
  /** Is this peer known to have a bond? What it has told others is kept before what others have; default: nobody is */
  isBonded?(peer: string): boolean;
};

export type NetworkOptions = {
  /** of the network file, for example /mystnode/1a2b3c4d */
  protocolPrefix: string;
  /** multiaddrs; empty for a consumer, which only dials */
  listen: string[];
  /** multiaddrs that end in /p2p/<peer id> */
  bootstrap: string[];
  /** asks the DHT but holds nothing for it; default: when it listens nowhere */
  clientMode?: boolean;
  gossip: boolean;
  dht: boolean;
  /** look for peers on the local network, and be found there; default false, and never where all of `listen` and `bootstrap` is loopback */
  mdns?: boolean;
  /** every peer is on this machine: limits per IP address are off; default: when all addresses of `listen` and `bootstrap` are loopback */
  loopback?: boolean;
  /**
   * "use": be reached through relays among the peers; "auto", the default: where this peer listens and has no public address;
   * an offer: be a relay for others; "none": neither. To listen on /p2p-circuit is to use them, too.
   */
  relay?: RelayUse | RelayOffer;
  /** how often each peer is pinged, and within what it must answer or is taken for dead; default 30 s and 8 s */
  ping?: { everyMs: number; withinMs: number };
  /** when it is first looked whether this peer is reached, how soon again while that is in doubt, and how long an answer is good */
  reaching?: { firstMs: number; soonMs: number; goodMs: number };
};

const day = 24 * 3_600_000;
const defaultPing = { everyMs: 30_000, withinMs: 8_000 };
/** after a connection is made: how far a peer is counts for where it may be */
const firstPingMs = 2_000;
/** A peer that was complained of this much goes. */
const strikes = { burst: 5, perSecond: 1 / 60 };
/** a relay waits so long for a peer to show that it is of this network */
const identifiedMs = 2_000;

/**
 * Starts the libp2p host and keeps it connected until `stop`.
 * @throws PORT_IN_USE, BAD_VALUE for a multiaddr that is none
 */
export async function createNetwork(deps: NetworkDeps, options: NetworkOptions): Promise<Network> {
  const { identity, clock, log } = deps;
  const prefix = options.protocolPrefix;
  const pace = options.ping ?? defaultPing;
  const relay = options.relay ?? "auto";
  const offers = typeof relay === "object" ? relay : undefined;
  const use = typeof relay === "object" ? "none" : relay;
  const { direct, relays } = planListening(options.listen, use, interfaceAddresses());
  const listen = parseAddresses([...direct, ...relays]);
  const relayTransport = createRelayTransport();
  const bootstrap = parseBootstrap(options.bootstrap).filter(({ peer }) => peer !== identity.peerId);
  const places = [...direct, ...options.bootstrap];
  const loopback = options.loopback ?? places.every(isLoopback);
  const looksNearby = options.mdns && (places.length === 0 || !places.every(isLoopback));
  const clientMode = options.clientMode ?? direct.length === 0;
  const bans = await openBans(deps.store, clock);
  const nearby = createNearby(identity.peerId);
  const struck = createQuota(clock, strikes);
  const known = await openKnownPeers(deps.store, clock);
  // libp2p's own protocols carry our prefix too: a peer of another network cannot even be identified
  const ownProtocols = { protocolPrefix: prefix.slice(1) };

  const host: Libp2p = await createLibp2p({
    start: false,
    privateKey: identity.libp2pKey,
    nodeInfo: { name: "mystnode", version: "1", userAgent: "mystnode" },
    addresses: { listen },
    datastore: createDatastore(clock, (peer) => worth(peer)),
    peerStore: { maxAddressAge: day, maxPeerAge: 2 * day },
    transports: [tcp(), relayTransport.transport],
    connectionEncrypters: [noise()],
    // an unread stream holds one window at most, so the window must fit into the read buffer or the stream is reset; pulse.ts keeps alive
    streamMuxers: [yamuxMuxer({ enableKeepAlive: false, streamOptions: { maxStreamWindowSize: 2 ** 21, maxReadBufferLength: 2 ** 22 } })],
    connectionGater: {
      ...createGater(bans, () => peers.inbound()),
      denyInboundRelayReservation: (peer) => {
        const others = [...(services.relay?.reservations.entries() ?? [])].filter(([reserved]) => !reserved.equals(peer));
        const taken = others.map(([, { addr }]) => addr.toString());
        return bans.denied(peer.toString()) || !roomForReservation(peers.addressesOf(peer), taken);
      },
    },
    connectionManager: {
      maxConnections: hardLimit,
      maxIncomingPendingConnections: 64,
      inboundConnectionThreshold: loopback ? 10_000 : 20,
      reconnectRetries: 0,
    },
    connectionMonitor: { enabled: false },
    services: {
      identify: identify({ ...ownProtocols, maxInboundStreams: 4 }),
      own: announceOwnAddresses(),
      ...(offers && { relay: relayService(offers) }),
      ping: ping({ ...ownProtocols, maxInboundStreams: 4 }),
      ...(options.gossip && { gossip: gossipService({ loopback }) }),
      ...(looksNearby && { nearby: nearbyService(prefix) }),
      ...(options.dht && { dht: dhtService({ protocolPrefix: prefix, clientMode }) }),
    },
  });
  const services = host.services as {
    ping: Ping;
    own: OwnAddresses;
    gossip?: GossipSub;
    dht?: KadDHT;
    relay?: CircuitRelayService;
    nearby?: ReturnType<ReturnType<typeof nearbyService>>;
  };

  const endPulse = keepPulse({ host, clock, log }, { firstMs: Math.min(firstPingMs, pace.everyMs), ...pace });
  const peers = createPeers({ host, known, clock, log, bootstrap, nearby: nearby.all, bans, isBonded: deps.isBonded ?? (() => false) });
  /** a relay is not answerable for whom it connects */
  const directOf = (peer: string) => peers.addressesOf(peer).filter((address) => !isRelayed(address));
  const ban = (peer: string, why: string) => {
    if (bans.denied(peer)) return;
    log.warn("peer banned", { peer, why });
    bans.ban(peer, directOf(peer));
    peers.hangUp(peer, new Error(why));
  };
  const complain = (peer: string, why: string) => {
    if (!struck.take(peer)) ban(peer, why);
  };
  const worth = (peer: string) => {
    if (peer === identity.peerId) return 3;
    return peers.isConnected(peer) ? 2 : Number(deps.isBonded?.(peer) ?? false);
  };
  services.nearby?.addEventListener("peer", ({ detail }) => nearby.found(detail));
  const named = (protocol: string) => `${prefix}/${protocol}`;
  const networksOf = (peer: string) => directOf(peer).flatMap((address) => networkOf(address) ?? []);
  const gossip = services.gossip && createGossip({ pubsub: services.gossip, name: named, ban, complain, networksOf, log, clock });
  const dht = services.dht && createDht({ dht: services.dht, onConnect: peers.onConnect, log, clock });
  const admitted = (peer: string) =>
    peers.untilIdentified(peer, deadline(identifiedMs)).then(
      () => true,
      () => false,
    );
  if (services.dht) {
    tagSeldom(services.dht);
    guardTable(services.dht, peers.addressesOf);
  }

  try {
    await host.start();
    await relayTransport.guard(host, relays.length > 0);
    if (services.relay) await guardRelay(host, services.relay, admitted);
  } catch (cause) {
    await gossip?.stop();
    throw startError(cause, options.listen);
  }
  peers.start();
  const streams = createStreams({ host, name: named, log, clock });
  const liveness = createLiveness({ host, ping: services.ping });
  const asker = createAsker({ host, ask: streams.ask, peers: peers.list, log });
  const ending = new AbortController();
  const seekRelay = async () => {
    if (use === "none" || relays.length > 0) return;
    relays.push(...throughRelays);
    await relayTransport.guard(host, true);
    await services.own.listenMore(relays);
  };
  if (direct.length > 0) await answerDialBacks({ ...streams, ...liveness }, clock);
  if (direct.length > 0 && !loopback)
    keepReached({ own: services.own, asker, log, seekRelay }, ending.signal, options.reaching).catch((error) =>
      log.warn("whether this peer is reached is not looked at any more", { error: String(error) }),
    );
  log.info("network is up", { peer: identity.peerId, addresses: host.getMultiaddrs().join(" "), loopback, clientMode });

  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= (async () => {
      ending.abort();
      endPulse();
      await Promise.all([peers.stop(), gossip?.stop()]);
      await host.stop();
      await bans.save();
    })();
    return stopping;
  };
  const never = (signal: AbortSignal) =>
    new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true });
    });

  return {
    peerId: identity.peerId,
    addresses: () => {
      const all = host.getMultiaddrs().map(String);
      return [...all.filter((address) => !isRelayed(address)), ...all.filter(isRelayed)];
    },
    onAddresses: (listener) => {
      host.addEventListener("self:peer:update", listener);
      return () => host.removeEventListener("self:peer:update", listener);
    },
    peers: peers.list,
    connect: peers.connect,
    complain,
    refuse: (peer, why) => {
      bans.deny(peer, Number.POSITIVE_INFINITY);
      peers.hangUp(peer, new Error(why));
    },
    onConnect: peers.onConnect,
    onDisconnect: peers.onDisconnect,
    listening: services.own.listening,
    announce: services.own.announce,
    reach: async (port, signal, least) => judge(await asker.ask("ip4", port, signal), least),
    ...liveness,
    ...streams,
    subscribe: async (topic) => gossip?.subscribe(topic),
    unsubscribe: async (topic) => gossip?.unsubscribe(topic),
    publish: async (topic, bytes) => gossip?.publish(topic, bytes) ?? 0,
    onSubscriber: (topic, listener) => gossip?.onSubscriber(topic, listener) ?? (() => undefined),
    provide: (key, signal) => dht?.provide(key, signal) ?? never(signal),
    findProviders: async function* (key, signal) {
      if (dht) yield* dht.findProviders(key, signal);
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** as multiaddrs without a port */
const interfaceAddresses = (): string[] =>
  Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ family, address }) => `/ip${family.slice(-1)}/${address}`));

function startError(cause: unknown, listen: string[]): MystError {
  const texts = [cause, ...((cause as { errors?: Map<unknown, unknown> }).errors?.values() ?? [])].map(String).join(" ");
  if (/EADDRINUSE|EADDRNOTAVAIL|EACCES|UnsupportedListenAddress/.test(`${texts} ${(cause as Error).name}`))
    return new MystError("PORT_IN_USE", `cannot listen on ${listen.join(", ")}`, {
      hint: "another program may use the port: choose one with --listen, or end the other",
      cause,
    });
  return new MystError("INTERNAL", "the network could not be started", { cause });
}
