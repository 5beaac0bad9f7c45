import { MystError } from "../../../src/lib/errors.ts";
import type { Store } from "../../../src/lib/store.ts";
import type { Network, Validity } from "../../../src/network/network.ts";
import type { createQuota } from "../../../src/network/quota.ts";
import type { VirtualClock } from "./clock.ts";
import type { createKademlia, KadNode } from "./kademlia.ts";

/** What an attacker does where an honest peer follows the rules. */
export type Malice = {
  /** what it says of the DHT */
  dht?: KadNode;
  /** messages of others end here */
  swallows?: boolean;
};

export type SimOptions = {
  peerId: string;
  /** for example /ip4/45.1.2.3/tcp/4480; none: it only dials */
  listen?: string;
  ip: string;
  bootstrap?: string[];
  gossip?: boolean;
  dht?: boolean;
  store: Pick<Store, "table" | "writeLazily">;
  malice?: Malice;
  /** off for controls: whom others have chosen counts, one network may fill tables and places */
  defended?: boolean;
  isBonded?: (peer: string) => boolean;
};

export type Answer = {
  options: { maxQuestion: number; maxAnswer: number };
  answerer: Parameters<Network["answer"]>[2];
  quota: ReturnType<typeof createQuota>;
};
export type Link = { peer: string; ip: string; direction: "inbound" | "outbound"; sinceMs: number };

/** One peer as others can reach it. */
export type Host = {
  peer: string;
  address: string | undefined;
  options: SimOptions;
  links: Map<string, Link>;
  topics: Map<string, (bytes: Uint8Array, from: string) => Promise<Validity>>;
  answers: Map<string, Answer>;
  kad: ReturnType<typeof createKademlia> | undefined;
  /** is it let in? */
  admits(peer: string, ip: string): boolean;
  joined(link: Link): void;
  left(peer: string): void;
  subscribed(topic: string, peer: string): void;
  hear(topic: string, bytes: Uint8Array, from: string): void;
  /** has it not been heard here yet? */
  lacks(topic: string, id: string): boolean;
  complain(peer: string): void;
};

/** What goes from peer to peer: messages of gossip, which of these there are, questions with their answers, the DHT's, and dials. */
export type Kind = "gossip" | "ids" | "questions" | "dht" | "dials";
/** messages that went from one peer to another, and their bytes */
export type Traffic = Record<Kind, { messages: number; bytes: number }>;

/** All peers of a network in memory, and what lies between them. */
export type World = {
  clock: VirtualClock;
  hosts: Map<string, Host>;
  byAddress: Map<string, Host>;
  traffic: Traffic;
  /** messages of gossip: how often one was new to whom it came to, and how many there were of each topic */
  gossip: { news: number; said: Record<string, number> };
  /** Counts one message without playing its way. */
  count(kind: Kind, bytes: number): void;
  /** one way, of so many bytes */
  way(kind: Kind, bytes?: number): Promise<void>;
};

const wayMs = () => 10 + Math.random() * 50;

export function createWorld(clock: VirtualClock): World {
  const none = () => ({ messages: 0, bytes: 0 });
  const traffic: Traffic = { gossip: none(), ids: none(), questions: none(), dht: none(), dials: none() };
  const count = (kind: Kind, bytes: number) => {
    traffic[kind].messages += 1;
    traffic[kind].bytes += bytes;
  };
  const way = (kind: Kind, bytes = 100) => {
    count(kind, bytes);
    return clock.sleep(wayMs());
  };
  return { clock, hosts: new Map(), byAddress: new Map(), traffic, gossip: { news: 0, said: {} }, count, way };
}

export const unreachable = (peer: string) => new MystError("PEER_UNREACHABLE", `peer ${peer} cannot be reached`);

export function remove({ hosts, byAddress }: World, host: Host): void {
  hosts.delete(host.peer);
  const [place] = [...byAddress].find(([, other]) => other === host) ?? [];
  if (place) byAddress.delete(place);
}
