import { createHash } from "node:crypto";
import { type GossipSub, gossipsub, StrictNoSign, TopicValidatorResult } from "@chainsafe/libp2p-gossipsub";
import type { PeerId } from "@libp2p/interface";
import { type Multiaddr, multiaddr } from "@multiformats/multiaddr";
import type { Clock } from "../lib/clock.ts";
import { every } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import { isRelayed } from "./diversity.ts";
import { graylistScore, peerScore, scoreThresholds, topicScore } from "./gossip-score.ts";
import type { Network, Validity } from "./network.ts";
import { createQuota } from "./quota.ts";
import { topicValidator } from "./topic-validator.ts";

type GossipCalls = Pick<Network, "subscribe" | "unsubscribe" | "publish" | "onSubscriber">;
type Deps = {
  pubsub: GossipSub;
  name: (topic: string) => string;
  /** hangs up on a peer and lets it in no more */
  ban(peer: string, why: string): void;
  /** a few times, and it is banned: over any number of connections, for gossipsub itself forgets a score on a reconnect */
  complain(peer: string, why: string): void;
  /** the /24 and /48 that a peer is connected from */
  networksOf(peer: string): string[];
  log: Logger;
  clock: Clock;
};
/** What gossipsub's class has beyond its published interface; the version is pinned exactly. */
type Internals = {
  score: { params: { topics: Record<string, typeof topicScore> } };
  getScore(peer: string): number;
  streamsOutbound: Map<string, unknown>;
  status: { heartbeatTimeout?: NodeJS.Timeout };
  addPeer(peer: PeerId, direction: string, address: Multiaddr): void;
};

/** of a peer that shows none of its own */
const nowhere = multiaddr("/p2p-circuit");

/** Messages of one topic that all neighbours of one /24 or /48 may hand us together. */
export const networkQuota = { burst: 800, perSecond: 200 };
/** More than this in all is no passing on of what others have said: each had to pass the neighbour's own quotas first. */
export const floodQuota = { burst: 5000, perSecond: 1000 };

const verdicts: Record<Validity, TopicValidatorResult> = {
  accept: TopicValidatorResult.Accept,
  ignore: TopicValidatorResult.Ignore,
  reject: TopicValidatorResult.Reject,
};

const messageId = (topic: string, data: Uint8Array) => createHash("sha256").update(topic).update("\0").update(data).digest();

/** The gossip service for the libp2p host: unsigned messages that carry their own signed envelopes. */
export const gossipService = (options: { loopback: boolean }) =>
  gossipsub({
    // a signature by libp2p costs nine times what one of ours does, on every node the message passes
    globalSignaturePolicy: StrictNoSign,
    msgIdFn: (message) => messageId(message.topic, message.data),
    // before anything else is done with a copy; as strong as the id, or a peer could make others drop a message it foresees
    fastMsgIdFn: (message) => messageId(message.topic, message.data ?? new Uint8Array()).toString("latin1"),
    // what was sent to nobody counts as sent and could not be sent again: better an error, which publish turns into 0
    allowPublishToZeroTopicPeers: false,
    ignoreDuplicatePublishError: true,
    fallbackToFloodsub: false,
    scoreParams: peerScore(options.loopback),
    scoreThresholds,
    maxInboundDataLength: 512 * 1024,
    maxOutboundBufferSize: 4 * 1024 * 1024,
    maxTopicBytesPerPeer: 64 * 1024,
    decodeRpcLimits: {
      maxSubscriptions: 128,
      maxMessages: 512,
      maxIhaveMessageIDs: 2000,
      maxIwantMessageIDs: 2000,
      maxIdontwantMessageIDs: 512,
      maxControlMessages: 128,
      maxPeerInfos: 16,
    },
  });

/** Topics with validators, quotas and consequences. `stop` ends the watch over scores; the host stops gossip itself. */
export function createGossip({ pubsub, name, ban, complain, networksOf, log, clock }: Deps): GossipCalls & { stop(): Promise<void> } {
  const internals = pubsub as unknown as Internals;
  // who comes through a relay has its address, and so have all others who do: that is no sign of anything
  const { addPeer } = internals;
  internals.addPeer = (peer, direction, address) =>
    addPeer.call(pubsub, peer, direction, isRelayed(address.toString()) ? nowhere : address);
  const byNetwork = createQuota(clock, networkQuota);
  const byPeer = createQuota(clock, floodQuota);
  /** Quotas of a topic hold for each neighbour; these for what neighbours could multiply. */
  const isTooMuch = (topic: string, peer: string): boolean => {
    if (!byPeer.take(peer)) complain(peer, "too many messages");
    return networksOf(peer).some((network) => !byNetwork.take(`${topic} ${network}`));
  };
  const subscribers = new Map<string, Set<(peer: string) => void>>();

  // the subscription comes on their stream to us; ours to them may still be opening
  const whenReachable = async (peer: string, then: () => void) => {
    for (let attempt = 0; attempt < 100; attempt++) {
      if (internals.streamsOutbound.has(peer)) return then();
      await clock.sleep(20);
    }
  };
  pubsub.addEventListener("subscription-change", ({ detail }) => {
    const peer = detail.peerId.toString();
    for (const { topic, subscribe } of detail.subscriptions) {
      const listeners = subscribers.get(topic);
      if (subscribe && listeners?.size)
        void whenReachable(peer, () => {
          for (const listener of listeners) listener(peer);
        });
    }
  });

  const watch = every(
    clock,
    1000,
    async () => {
      for (const peerId of pubsub.getPeers()) {
        const peer = peerId.toString();
        if (internals.getScore(peer) <= graylistScore) ban(peer, "gossip score");
      }
    },
    (error) => log.warn("gossip scores could not be read", { error: (error as Error).message }),
  );

  return {
    subscribe: async (topic) => {
      const full = name(topic.name);
      const validate = topicValidator(topic, { log, clock });
      // without parameters for the topic a rejected message costs its sender nothing
      internals.score.params.topics[full] = topicScore;
      pubsub.topicValidators.set(full, async (from, message) => {
        const peer = from.toString();
        const validity = isTooMuch(full, peer) ? "ignore" : await validate(message.data, peer);
        if (validity === "reject") complain(peer, "invalid messages");
        return verdicts[validity];
      });
      pubsub.subscribe(full);
    },
    unsubscribe: async (topic) => {
      pubsub.unsubscribe(name(topic));
      pubsub.topicValidators.delete(name(topic));
    },
    publish: async (topic, bytes) => {
      try {
        return (await pubsub.publish(name(topic), bytes)).recipients.length;
      } catch (error) {
        if (String(error).includes("NoPeersSubscribedToTopic")) return 0;
        throw error;
      }
    },
    onSubscriber: (topic, listener) => {
      const listeners = subscribers.get(name(topic)) ?? new Set();
      subscribers.set(name(topic), listeners.add(listener));
      return () => void listeners.delete(listener);
    },
    stop: async () => {
      await watch.stop();
      // gossipsub leaves its next heartbeat behind, which would keep the process for up to a second
      internals.status.heartbeatTimeout?.unref();
    },
  };
}
