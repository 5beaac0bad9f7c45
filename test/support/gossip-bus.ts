import { createHash } from "node:crypto";
import { silentLogger } from "../../src/lib/ports.ts";
import type { Network, Topic, Validity } from "../../src/network/network.ts";
import { topicValidator } from "../../src/network/topic-validator.ts";

type Validate = (bytes: Uint8Array, from: string) => Promise<Validity>;
type Peer = { name: string; topics: Map<string, Validate>; seen: Set<string>; neighbours: Set<Peer> };

/** Of each neighbour's message, what became of it. */
export type Told = { to: string; from: string; topic: string; validity: Validity };

/**
 * Gossip in one process: each message goes to all neighbours that want its topic, is looked at by the product's own validators, and
 * passed on by who accepts it, as libp2p's gossip does it.
 */
export function gossipBus({ wayMs = 1, clock = { nowMs: () => Date.now() } }: { wayMs?: number; clock?: { nowMs(): number } } = {}) {
  const peers = new Map<string, Peer>();
  const told: Told[] = [];
  const idOf = (topic: string, bytes: Uint8Array) => createHash("sha256").update(topic).update("\0").update(bytes).digest("hex");
  const after = (run: () => void) => (wayMs > 0 ? setTimeout(run, wayMs) : setImmediate(run));

  const hear = async (peer: Peer, from: Peer, topic: string, bytes: Uint8Array) => {
    const validate = peer.topics.get(topic);
    const id = idOf(topic, bytes);
    if (!validate || peer.seen.has(id)) return;
    peer.seen.add(id);
    const validity = await validate(bytes, from.name);
    told.push({ to: peer.name, from: from.name, topic, validity });
    if (validity === "accept") send(peer, topic, bytes, from);
  };
  const send = (peer: Peer, topic: string, bytes: Uint8Array, but?: Peer): number => {
    const to = [...peer.neighbours].filter((each) => each !== but && each.topics.has(topic));
    for (const each of to) after(() => void hear(each, peer, topic, Uint8Array.from(bytes)));
    return to.length;
  };
  const peerOf = (name: string): Peer => {
    const peer = peers.get(name) ?? { name, topics: new Map(), seen: new Set(), neighbours: new Set() };
    peers.set(name, peer);
    return peer;
  };

  return {
    told,
    link: (a: string, b: string) => {
      peerOf(a).neighbours.add(peerOf(b));
      peerOf(b).neighbours.add(peerOf(a));
    },
    network: (name: string): Pick<Network, "subscribe" | "publish"> => {
      const peer = peerOf(name);
      return {
        subscribe: async <T>(topic: Topic<T>) => void peer.topics.set(topic.name, topicValidator(topic, { log: silentLogger, clock })),
        publish: async (topic, bytes) => {
          const id = idOf(topic, bytes);
          if (peer.seen.has(id)) return 0;
          const reached = send(peer, topic, bytes);
          if (reached > 0) peer.seen.add(id);
          return reached;
        },
      };
    },
  };
}
