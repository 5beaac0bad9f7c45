import { randomBytes } from "node:crypto";
import type { Announcers } from "../../../src/discovery/announcers.ts";
import { createDiscovery, type Discovery, type DiscoverySource, type OfferContent } from "../../../src/discovery/discovery.ts";
import { createIdentity, type Identity } from "../../../src/identity/identity.ts";
import type { Hex } from "../../../src/lib/codec.ts";
import { silentLogger } from "../../../src/lib/ports.ts";
import type { Store } from "../../../src/lib/store.ts";
import type { Network } from "../../../src/network/network.ts";
import { memoryStore } from "../../unit/discovery/offers.ts";
import type { VirtualClock } from "./clock.ts";
import { addressOf, type SimNet, type SimOptions } from "./net.ts";

export const networkConfig = { chainId: 31337, contract: `0x${"ab".repeat(20)}` as Hex };

export type SimTrader = {
  identity: Identity;
  network: Network;
  discovery: Discovery;
  invite: string | undefined;
  country: string | undefined;
};
export type SimTraderOptions = Partial<SimOptions> & {
  identity?: Identity;
  /** sells there */
  country?: string;
  listens?: boolean;
  sources?: DiscoverySource[];
  announcers?: Announcers;
  content?: Partial<OfferContent>;
};

let places = 0;

/** A peer of a network in memory with the product's own discovery. */
export async function startSimTrader(net: SimNet, clock: VirtualClock, options: SimTraderOptions = {}): Promise<SimTrader> {
  const { identity = createIdentity(randomBytes(32)), country, listens = true, sources, announcers, content, ...rest } = options;
  places += 1;
  const ip = rest.ip ?? addressOf(places);
  const listen = listens ? `/ip4/${ip}/tcp/${4000 + (places % 60_000)}` : undefined;
  const store = rest.store ?? memoryStore();
  const network = await net.start({ ...rest, peerId: identity.peerId, ip, store, ...(listen && { listen }) });
  const discovery = await createDiscovery(
    {
      ...{ network, identity, clock, networkConfig, log: silentLogger },
      store: store as Store,
      ...(announcers && { announcers }),
    },
    sources ? { sources } : {},
  );
  const trader: SimTrader = { identity, network, discovery, invite: listen && `${listen}/p2p/${identity.peerId}`, country };
  if (country !== undefined) await discovery.announce(offerOf(country, content));
  return trader;
}

export const offerOf = (country: string, change: Partial<OfferContent> = {}): OfferContent => ({
  country,
  networkKind: "datacenter",
  services: [{ kind: "proxy", perGiB: BigInt(50 + Math.floor(Math.random() * 100)), perHour: 10n }],
  policy: "no mail",
  closedPorts: [25, 465, 587],
  maxSessions: 50,
  sessions: 0,
  ...change,
});

/** Ends its loops; what it says on leaving reaches nobody where it was killed before. */
export async function endSimTrader({ discovery, network }: SimTrader): Promise<void> {
  await discovery.stop();
  await network.stop();
}
