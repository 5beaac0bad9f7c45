import { isPublic } from "../../../src/network/diversity.ts";
import type { Network } from "../../../src/network/network.ts";
import type { VirtualClock } from "./clock.ts";
import { startSimPeer } from "./peer.ts";
import { createWorld, remove, type SimOptions, type Traffic, type World } from "./world.ts";

export type { Malice, SimOptions, Traffic } from "./world.ts";

export type SimNet = {
  start(options: SimOptions): Promise<Network>;
  /** as a killed process: nobody is told, and its address refuses or swallows what comes */
  kill(peer: string): void;
  alive(peer: string): boolean;
  traffic: Traffic;
  gossip: World["gossip"];
};

/**
 * A network in memory, in virtual time, with the product's own rules wherever there are rules: who is dialled, let in, banned and remembered, what a
 * routing table and a store of records take, quotas and validators. What libp2p does in between is played: ways of 10 to 60 ms, gossip to
 * 8 neighbours, Kademlia with k = 20.
 */
export function createSimNet(clock: VirtualClock): SimNet {
  const world = createWorld(clock);
  const { hosts, traffic } = world;
  const kill = (peer: string) => {
    const host = hosts.get(peer);
    if (!host) return;
    remove(world, host);
    // whoever was connected learns of it when a ping is not answered
    for (const other of host.links.keys()) void clock.sleep(Math.random() * 18_000).then(() => hosts.get(other)?.left(peer));
  };
  return { start: (options) => startSimPeer(world, options), kill, alive: (peer) => hosts.has(peer), traffic, gossip: world.gossip };
}

/** An address of its own in a /24 of its own, or in the one that is given. */
export function addressOf(index: number, crowd?: number): string {
  const ip = crowd === undefined ? `45.${(index >> 8) & 255}.${index & 255}.7` : `46.0.${crowd}.${index % 250}`;
  if (!isPublic(`/ip4/${ip}`)) throw new Error(`${ip} is no public address`);
  return ip;
}
