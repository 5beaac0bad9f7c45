import type { Chain } from "../chain/chain.ts";
import { type Announcers, everybody, openAnnouncers } from "../discovery/announcers.ts";
import type { Discovery } from "../discovery/discovery.ts";
import type { Identity } from "../identity/identity.ts";
import { peerAddress } from "../identity/peer.ts";
import { keptHandovers } from "../identity/retiring.ts";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import type { NetworkConfig } from "../lib/network-config.ts";
import type { Logger } from "../lib/ports.ts";
import type { Store } from "../lib/store.ts";
import type { Network } from "../network/network.ts";
import type { NodeOptions } from "./types.ts";

export type JoiningDeps = {
  identity: Identity;
  store: Store;
  clock: Clock;
  log: Logger;
  config: NetworkConfig;
  chain: Pick<Chain, "account">;
  /** has this payer promised us anything? */
  isPayer(address: Hex): boolean;
};

export type Joined = { network: Network; discovery: Discovery; announcers: Announcers };

/** Brings a node into its network: libp2p, then discovery over it. A wallet needs none of that: it is loaded here. */
export async function joinNetwork(deps: JoiningDeps, options: NodeOptions): Promise<Joined> {
  const { identity, store, clock, log, config } = deps;
  const [{ createNetwork }, { createDiscovery }] = await Promise.all([import("../network/host.ts"), import("../discovery/discovery.ts")]);
  const announcers = await announcersOf(deps);
  const isBonded = (peer: string) => announcers.standing(peerAddress(peer)) === "bonded";
  const network = await createNetwork(
    { identity, store, log: log.child("network"), clock, isBonded },
    {
      protocolPrefix: config.protocolPrefix,
      listen: options.listen ?? [],
      ...(options.relay !== undefined && { relay: options.relay }),
      bootstrap: [...config.bootstrap, ...(options.bootstrap ?? [])],
      gossip: true,
      dht: true,
      mdns: options.mdns ?? false,
    },
  );
  const discovery = await createDiscovery(
    {
      ...{ network, identity, store, log: log.child("discovery"), clock, networkConfig: config, announcers },
      ownHandovers: await keptHandovers(options.dataDir),
      isKnown: (peer) => deps.isPayer(peerAddress(peer)),
    },
    options.discovery ? { sources: options.discovery } : {},
  );
  return { network, discovery, announcers };
}

/** Whom this network lets announce: everybody, or who has its bond on the chain. */
async function announcersOf({ store, clock, config, chain }: JoiningDeps): Promise<Announcers> {
  if (config.freeAnnouncers || config.minBond === 0n) return everybody;
  const isBonded = async (address: Hex) => {
    const { bond, closeAtMs } = await chain.account(address);
    return bond >= config.minBond && closeAtMs === undefined;
  };
  return openAnnouncers({ store, clock, isBonded });
}
