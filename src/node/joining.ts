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

/** Who is known to have the network's bond, by the contract's events, without asking anybody. */
export type BondRegistry = (address: Hex) => Promise<boolean>;

export type Joined = {
  network: Network;
  discovery: Discovery;
  announcers: Announcers;
  /** From now on the chain is asked only for those whom this does not know. */
  askFirst(registry: BondRegistry): void;
};

/** Brings a node into its network: libp2p, then discovery over it. A wallet needs none of that: it is loaded here. */
export async function joinNetwork(deps: JoiningDeps, options: NodeOptions): Promise<Joined> {
  const { identity, store, clock, log, config } = deps;
  const [{ createNetwork }, { createDiscovery }] = await Promise.all([import("../network/host.ts"), import("../discovery/discovery.ts")]);
  let registry: BondRegistry = async () => false;
  const announcers = await announcersOf(deps, (address) => registry(address));
  const isBonded = (peer: string) => {
    const address = addressOf(peer);
    return address !== undefined && announcers.standing(address) === "bonded";
  };
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
  const askFirst = (better: BondRegistry) => {
    registry = better;
  };
  return { network, discovery, announcers, askFirst };
}

/** Anybody may connect, also with a key of another kind, which has no address. */
export function addressOf(peer: string): Hex | undefined {
  try {
    return peerAddress(peer);
  } catch {
    return undefined;
  }
}

/** Whom this network lets announce: everybody, or who has its bond on the chain. */
async function announcersOf({ store, clock, config, chain }: JoiningDeps, registry: BondRegistry): Promise<Announcers> {
  if (config.freeAnnouncers || config.minBond === 0n) return everybody;
  const isBonded = async (address: Hex) => {
    const { bond, closeAtMs } = await chain.account(address);
    return bond >= config.minBond && closeAtMs === undefined;
  };
  return openAnnouncers({ store, clock, isBonded, registry });
}
