import { createHash } from "node:crypto";
import { MystError } from "../../../src/lib/errors.ts";
import { deadline } from "../../../src/lib/lifecycle.ts";
import { silentLogger } from "../../../src/lib/ports.ts";
import { secretOrder } from "../../../src/lib/sample.ts";
import { openBans } from "../../../src/network/bans.ts";
import { hardLimit, mostConnections, newcomerMs, tooMany } from "../../../src/network/crowding.ts";
import { networkOf } from "../../../src/network/diversity.ts";
import { type KnownPeer, openKnownPeers } from "../../../src/network/known-peers.ts";
import { parseBootstrap } from "../../../src/network/multiaddrs.ts";
import type { Network, Topic } from "../../../src/network/network.ts";
import { createQuota } from "../../../src/network/quota.ts";
import { keepConnected } from "../../../src/network/reconnect.ts";
import { topicValidator } from "../../../src/network/topic-validator.ts";
import { createSimGossip } from "./gossip.ts";
import { createKademlia, type KadNode, type Place } from "./kademlia.ts";
import { type Host, type Link, remove, type SimOptions, unreachable, type World } from "./world.ts";

const defaultAskQuota = { burst: 40, perSecond: 5 };
const strikes = { burst: 5, perSecond: 1 / 60 };
const maxInboundPerNetwork = 32;
const askMs = 10_000;
const kadMs = 2_000;
const tableMs = 10;
/** of each of three ways of Noise, yamux and identify */
const handshakeBytes = 900;
/** twenty peers with an address each */
const kadAnswerBytes = 1_500;

/** Starts a peer of a network in memory. */
export async function startSimPeer(world: World, options: SimOptions): Promise<Network> {
  const { clock, hosts, byAddress, way } = world;
  const { peerId, ip, listen, store, malice, defended = true } = options;
  const bans = await openBans(store, clock);
  const known = await openKnownPeers(store, clock);
  const bootstrap = parseBootstrap(options.bootstrap ?? []).filter(({ peer }) => peer !== peerId);
  const struck = createQuota(clock, strikes);
  const connectListeners = new Set<(peer: string) => void>();
  const disconnectListeners = new Set<(peer: string) => void>();
  const subscriberListeners = new Map<string, Set<(peer: string) => void>>();
  const address = listen === undefined ? undefined : `${listen}/p2p/${peerId}`;
  const self: Place = { peer: peerId, addresses: address ? [address] : [] };
  const links = new Map<string, Link>();

  const hangUp = (peer: string) => {
    const other = hosts.get(peer);
    if (links.delete(peer)) for (const listener of disconnectListeners) listener(peer);
    other?.left(peerId);
  };
  const complain = (peer: string) => {
    if (struck.take(peer)) return;
    bans.ban(peer, [`/ip4/${links.get(peer)?.ip ?? ""}`]);
    hangUp(peer);
  };
  const isDead = () => hosts.get(peerId) !== host;
  const { send, isNews, forget, lacks } = createSimGossip(world, peerId, links, isDead);
  const orderOf = secretOrder();
  const makeRoom = () => {
    const all = [...links.values()].map(({ peer, ip: theirs, direction, sinceMs }) => ({
      ...{ peer, address: `/ip4/${theirs}/tcp/1`, direction, inUse: false },
      ageMs: clock.nowMs() - sinceMs,
    }));
    for (const peer of tooMany(all, (one) => Number(options.isBonded?.(one) ?? false), orderOf)) hangUp(peer);
  };
  const host: Host = {
    peer: peerId,
    address,
    options,
    links,
    topics: new Map(),
    answers: new Map(),
    kad: undefined,
    admits: (peer, from) => {
      if (bans.denied(peer) || bans.deniedHost(`/ip4/${from}`)) return false;
      if (links.size >= (defended ? hardLimit : mostConnections)) return false;
      const network = networkOf(`/ip4/${from}/tcp/1`);
      const alike = [...links.values()].filter((link) => link.direction === "inbound" && networkOf(`/ip4/${link.ip}/tcp/1`) === network);
      return !defended || alike.length < maxInboundPerNetwork;
    },
    joined: (link) => {
      links.set(link.peer, link);
      if (defended && links.size > mostConnections) {
        makeRoom();
        void clock.sleep(newcomerMs).then(makeRoom);
      }
      const other = hosts.get(link.peer);
      if (other?.address) {
        known.remember(link.peer, [other.address], link.direction === "outbound");
        host.kad?.meet({ peer: link.peer, addresses: [other.address] });
      }
      for (const listener of connectListeners) listener(link.peer);
      for (const topic of other?.topics.keys() ?? []) host.subscribed(topic, link.peer);
    },
    left: (peer) => {
      if (links.delete(peer)) for (const listener of disconnectListeners) listener(peer);
    },
    subscribed: (topic, peer) => {
      for (const listener of subscriberListeners.get(topic) ?? []) listener(peer);
    },
    hear: async (topic, bytes, from) => {
      const validate = host.topics.get(topic);
      if (!validate || !links.has(from) || !isNews(topic, bytes)) return;
      world.gossip.news += 1;
      const validity = await validate(bytes, from);
      if (validity === "reject") complain(from);
      if (validity === "accept" && !malice?.swallows) send(topic, bytes, from);
    },
    lacks: (topic, id) => host.topics.has(topic) && lacks(id),
    complain,
  };
  const askKad = async <T>(place: Place, question: (node: KadNode) => T): Promise<T | undefined> => {
    const other = isDead() ? undefined : hosts.get(place.peer);
    await way("dht", 150);
    if (!other?.kad) {
      await clock.sleep(kadMs);
      return undefined;
    }
    if (other.address) other.kad.meet(self.addresses.length > 0 ? self : { peer: peerId, addresses: [] });
    const answer = question(other.options.malice?.dht ?? other.kad.node);
    await way("dht", kadAnswerBytes);
    // to ask is to connect
    if (other.address) known.remember(place.peer, [other.address], true);
    return answer;
  };
  if (options.dht !== false)
    host.kad = createKademlia({
      ...{ self, clock, diversity: defended },
      ask: askKad,
      worth: (peer) => (defended ? Number(links.has(peer)) * 2 + Number(options.isBonded?.(peer) ?? false) : 0),
    });
  hosts.set(peerId, host);
  if (listen) byAddress.set(listen, host);

  const dial = async ({ peer, addresses }: KnownPeer, signal: AbortSignal) => {
    if (links.has(peer)) return;
    if (bans.denied(peer)) throw unreachable(peer);
    const there = addresses.map((text) => byAddress.get(text.replace(/\/p2p\/.*/, ""))).find((other) => other?.peer === peer);
    await way("dials", handshakeBytes);
    await way("dials", handshakeBytes);
    const other = there && hosts.get(there.peer);
    if (!other) {
      // half of the dead refuse at once, the others say nothing
      if (Math.random() < 0.5) await clock.sleep(10_000, signal).catch(() => undefined);
      throw unreachable(peer);
    }
    if (!other.admits(peerId, ip) || isDead()) throw unreachable(peer);
    if (links.has(peer)) return;
    const sinceMs = clock.nowMs();
    host.joined({ peer, ip: /\/ip4\/([^/]+)/.exec(other.address ?? "")?.[1] ?? "", direction: "outbound", sinceMs });
    other.joined({ peer: peerId, ip, direction: "inbound", sinceMs });
    await way("dials", handshakeBytes);
  };
  const connected = keepConnected({ clock, dial, onError: () => undefined }, () => ({
    connected: new Set(links.keys()),
    chosen: new Set(
      defended ? [...links.values()].filter(({ direction }) => direction === "outbound").map(({ peer }) => peer) : links.keys(),
    ),
    bootstrap,
    nearby: [],
    known: known.all(),
    denied: bans.denied,
  }));
  const stopped = new AbortController();
  const refresh = async () => {
    for (const waitMs of [1_000, 5_000, 20_000]) {
      await clock.sleep(waitMs, stopped.signal).catch(() => undefined);
      if (!host.kad || stopped.signal.aborted) return;
      for await (const _ of host.kad.find(createHash("sha256").update(peerId).digest(), stopped.signal));
    }
  };
  void refresh();

  const askPeer = async (
    peer: string,
    protocol: string,
    question: Uint8Array,
    signal: AbortSignal,
    maxAnswer = 65_536,
  ): Promise<Uint8Array> => {
    if (!links.has(peer) || isDead()) throw unreachable(peer);
    await way("questions", question.length);
    const other = hosts.get(peer);
    const limit = deadline(askMs, signal, clock);
    if (!other) {
      await clock.sleep(askMs, limit).catch(() => undefined);
      throw new MystError("PEER_TIMEOUT", "no answer");
    }
    const served = other.answers.get(protocol);
    if (!served || question.length > served.options.maxQuestion || !served.quota.take(peerId)) throw new MystError("PEER_REFUSED", "no");
    const answer = await served.answerer(question, peerId).catch(() => {
      throw new MystError("PEER_REFUSED", "no");
    });
    await way("questions", answer.length);
    if (answer.length > maxAnswer) throw new MystError("MALFORMED", "too long");
    if (limit.aborted) throw new MystError("PEER_TIMEOUT", "no answer");
    return answer;
  };
  const on = (listeners: Set<(peer: string) => void>) => (listener: (peer: string) => void) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  };
  const nothing = async (): Promise<never> => {
    throw new Error("not played here");
  };
  const stop = async () => {
    stopped.abort();
    await connected.stop();
    for (const peer of [...links.keys()]) hangUp(peer);
    if (hosts.get(peerId) === host) remove(world, host);
    await known.save();
    await bans.save();
  };
  return {
    peerId,
    addresses: () => self.addresses,
    onAddresses: () => () => undefined,
    listening: () => [],
    announce: () => () => undefined,
    reach: nothing,
    peers: () => [...links.values()].map(({ peer, ip: theirs, direction }) => ({ peer, addresses: [`/ip4/${theirs}/tcp/1`], direction })),
    connect: (peer, addresses, signal) => dial({ peer, addresses }, signal),
    ping: nothing,
    redial: nothing,
    hangUp: (peer) => hangUp(peer),
    openFrames: nothing,
    openBytes: nothing,
    handleFrames: nothing,
    handleBytes: nothing,
    ask: (peer, protocol, question, signal, more) => askPeer(peer, protocol, question, signal, more?.maxAnswer),
    answer: async (protocol, { quota = defaultAskQuota, ...limits }, answerer) =>
      void host.answers.set(protocol, { options: limits, answerer, quota: createQuota(clock, quota) }),
    subscribe: async <T>(topic: Topic<T>) => {
      if (options.gossip === false) return;
      host.topics.set(topic.name, topicValidator(topic, { log: silentLogger, clock }));
      for (const peer of links.keys()) hosts.get(peer)?.subscribed(topic.name, peerId);
    },
    unsubscribe: async (topic) => void host.topics.delete(topic),
    publish: async (topic, bytes) => {
      if (options.gossip === false || !isNews(topic, bytes)) return 0;
      const reached = send(topic, bytes);
      if (reached > 0) world.gossip.said[topic] = (world.gossip.said[topic] ?? 0) + 1;
      if (reached === 0) forget(topic, bytes);
      return reached;
    },
    onSubscriber: (topic, listener) => {
      const listeners = subscriberListeners.get(topic) ?? new Set();
      subscriberListeners.set(topic, listeners.add(listener));
      return () => void listeners.delete(listener);
    },
    provide: async (key, signal) => {
      for (let waitMs = 1_000; !signal.aborted; ) {
        const took = (await host.kad?.provide(createHash("sha256").update(key).digest(), signal)) ?? 0;
        waitMs = took > 0 ? 600_000 : Math.min(waitMs * 2, 30_000);
        await clock.sleep(waitMs, signal).catch(() => undefined);
      }
    },
    findProviders: async function* (key, signal) {
      const told = new Set<string>();
      const limit = deadline(15_000, signal, clock);
      // as the product's own, which begins with the first peer that is in the table
      while (host.kad?.size() === 0 && !limit.aborted) await clock.sleep(tableMs, limit).catch(() => undefined);
      if (host.kad)
        for await (const place of host.kad.find(createHash("sha256").update(key).digest(), limit))
          if (!told.has(place.peer)) {
            told.add(place.peer);
            yield place;
          }
    },
    complain,
    refuse: (peer) => {
      bans.deny(peer, Number.POSITIVE_INFINITY);
      hangUp(peer);
    },
    onConnect: on(connectListeners),
    onDisconnect: on(disconnectListeners),
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
