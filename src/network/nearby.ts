import type { PeerInfo } from "@libp2p/interface";
import { mdns } from "@libp2p/mdns";
import type { KnownPeer } from "./known-peers.ts";

/** Peers of this network on the same local network, as they answer there: by mDNS, under a name of this network's own. */
export type Nearby = { all(): KnownPeer[]; found(peer: PeerInfo): void };

const maxPeers = 16;
const askEveryMs = 10_000;

/** The mDNS service for the libp2p host. Asking tells everybody on the local network that there is a peer of this network here. */
export const nearbyService = (prefix: string) =>
  mdns({ serviceTag: `_${prefix.replace(/[^a-z0-9]+/g, "-").replace(/^-/, "")}._udp.local`, interval: askEveryMs });

/** Those heard of, the last ones only: anybody on the local network can tell of any number. */
export function createNearby(self: string): Nearby {
  const peers = new Map<string, string[]>();
  return {
    all: () => [...peers].map(([peer, addresses]) => ({ peer, addresses })),
    found: ({ id, multiaddrs }) => {
      const peer = id.toString();
      if (peer === self) return;
      peers.delete(peer);
      peers.set(peer, multiaddrs.map(String));
      const [oldest] = peers.keys();
      if (peers.size > maxPeers && oldest !== undefined) peers.delete(oldest);
    },
  };
}
