import type { Announcers } from "../../../src/discovery/announcers.ts";
import { createDiscovery, type Discovery, type DiscoverySource, type OfferContent } from "../../../src/discovery/discovery.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import type { Hex } from "../../../src/lib/codec.ts";
import { silentLogger } from "../../../src/lib/ports.ts";
import type { Network } from "../../../src/network/network.ts";
import { startPeer, type TestPeer } from "../support.ts";

export const networkConfig = { chainId: 31337, contract: `0x${"ab".repeat(20)}` as Hex };

export type Trader = TestPeer & { discovery: Discovery };
type Options = Parameters<typeof startPeer>[0] & {
  sources?: DiscoverySource[];
  networkConfig?: typeof networkConfig;
  ownHandovers?: Uint8Array[];
  announcers?: Announcers;
  /** what discovery has for its network, where that is to be another */
  around?(network: Network): Network;
};

/** A peer with discovery; it closes as a whole. */
export async function startTrader({
  sources,
  ownHandovers = [],
  around = (network) => network,
  announcers,
  networkConfig: config = networkConfig,
  ...options
}: Options = {}): Promise<Trader> {
  const peer = await startPeer(options);
  const discovery = await createDiscovery(
    {
      network: around(peer.network),
      identity: peer.identity,
      store: peer.store,
      log: options.log ?? silentLogger,
      clock: options.clock ?? systemClock,
      networkConfig: config,
      ownHandovers,
      ...(announcers && { announcers }),
    },
    sources ? { sources } : {},
  );
  return {
    ...peer,
    discovery,
    [Symbol.asyncDispose]: async () => {
      await discovery.stop();
      await peer[Symbol.asyncDispose]();
    },
  };
}

export const content = (country: string, perGiB = 100n): OfferContent => ({
  country,
  networkKind: "datacenter",
  services: [{ kind: "proxy", perGiB, perHour: 10n }],
  policy: "no mail",
  closedPorts: [25, 465, 587],
  maxSessions: 10,
  sessions: 0,
});
