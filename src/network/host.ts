import type { Identity } from "../identity/identity.ts";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/ports.ts";
import type { Store } from "../lib/store.ts";
import type { Network } from "./network.ts";

export type NetworkDeps = { identity: Identity; store: Store; log: Logger; clock: Clock };

export type NetworkOptions = {
  /** of the network file, for example /mystnode/1a2b3c4d */
  protocolPrefix: string;
  /** multiaddrs; empty for a consumer, which only dials */
  listen: string[];
  /** multiaddrs that end in /p2p/<peer id> */
  bootstrap: string[];
  /** asks the DHT but holds nothing for it; default: when it listens nowhere */
  clientMode?: boolean;
  gossip: boolean;
  dht: boolean;
  /** every peer is on this machine: limits per IP address are off; default: when all addresses of `listen` and `bootstrap` are loopback */
  loopback?: boolean;
};

/**
 * Starts the libp2p host.
 * @throws PORT_IN_USE, BAD_VALUE for a multiaddr that is none
 */
export declare function createNetwork(deps: NetworkDeps, options: NetworkOptions): Promise<Network>;
