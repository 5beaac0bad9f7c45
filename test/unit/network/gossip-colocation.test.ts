import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import type { PeerId } from "@libp2p/interface";
import { peerIdFromString } from "@libp2p/peer-id";
import { multiaddr } from "@multiformats/multiaddr";
import { createIdentity } from "../../../src/identity/identity.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { silentLogger } from "../../../src/lib/ports.ts";
import { createGossip, gossipService } from "../../../src/network/gossip.ts";
import { graylistScore } from "../../../src/network/gossip-score.ts";
import { describe } from "../../support/harness.ts";

const newPeer = (): PeerId => peerIdFromString(createIdentity(randomBytes(32)).peerId);
const relay = `/ip4/45.1.0.2/tcp/4480/p2p/${createIdentity(randomBytes(32)).peerId}`;

/** The scores of so many peers, each connected from such an address, as gossipsub itself has them. */
async function scoresOf(count: number, address: string): Promise<number[]> {
  const logger = { forComponent: () => Object.assign(() => undefined, { error: () => undefined, trace: () => undefined }) };
  const components = { peerId: newPeer(), logger, peerStore: {}, registrar: {}, connectionManager: {}, events: new EventTarget() };
  const pubsub = gossipService({ loopback: false })(components as never);
  const gossip = createGossip({
    ...{ pubsub: pubsub as never, name: (topic) => topic, networksOf: () => [], log: silentLogger, clock: systemClock },
    ban: () => undefined,
    complain: () => undefined,
  });
  const inner = pubsub as unknown as {
    addPeer(peer: PeerId, direction: string, address: unknown): void;
    getScore(peer: string): number;
  };
  const peers = Array.from({ length: count }, newPeer);
  for (const peer of peers) inner.addPeer(peer, "inbound", multiaddr(address));
  const scores = peers.map((peer) => inner.getScore(peer.toString()));
  await gossip.stop();
  return scores;
}

describe("gossip: many peers at one address", (test) => {
  test("are graylisted, all of them", async () => {
    for (const score of await scoresOf(12, "/ip4/45.1.0.2/tcp/4480")) assert.ok(score <= graylistScore, String(score));
  });

  test("are not, when the address is that of a relay", async () => {
    for (const score of await scoresOf(12, `${relay}/p2p-circuit`)) assert.ok(score >= 0, String(score));
  });
});
