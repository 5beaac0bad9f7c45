import type { Identity } from "../identity/identity.ts";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import type { Logger } from "../lib/ports.ts";
import type { Store } from "../lib/store.ts";
import type { Network } from "../network/network.ts";
import type { Offer, SignedOffer } from "./offer.ts";

export type DiscoverySource = "gossip" | "snapshot" | "dht";

/** A verified offer of this network, as the local catalogue holds it. */
export type KnownOffer = SignedOffer & {
  /** by which ways this node has this peer's offers, in order of their first coming */
  sources: DiscoverySource[];
};

/** What the operator decides; the announcer adds who, where, seq and expiry, and signs. */
export type OfferContent = Omit<Offer, "peer" | "address" | "addresses" | "seq" | "expiresMs">;

/** Which offers are wanted; what is left out is not asked for. Prices are for `service` and inclusive. */
export type OfferQuery = {
  peer?: string;
  country?: string;
  city?: string;
  service?: string;
  /** base units */
  maxPerGiB?: bigint;
  maxPerHour?: bigint;
  /** peer ids not wanted */
  exclude?: string[];
};

export type Discovery = AsyncDisposable & {
  /** Begins to announce, or announces what has changed (at most every 10 s; the newest content counts). Resolves when the first is signed. */
  announce(content: OfferContent): Promise<void>;
  /** Stops announcing and tells the network so. */
  withdraw(): Promise<void>;
  /** Current matching offers now, cheapest first, from the local catalogue. */
  offers(query?: OfferQuery): KnownOffer[];
  /** Matching offers as they come, those known first, each once per new content; ends (without an error) when the signal fires. */
  find(query: OfferQuery, signal: AbortSignal): AsyncIterable<KnownOffer>;
  /** Waits for the first match and a moment more for others; cheapest first. Empty when the signal fires before any match. */
  search(query: OfferQuery, signal: AbortSignal): Promise<KnownOffer[]>;
  /** called for each new or changed offer, with the source that brought it */
  onOffer(listener: (known: KnownOffer, source: DiscoverySource) => void): () => void;
  stop(): Promise<void>;
};

export type DiscoveryDeps = {
  network: Network;
  identity: Identity;
  store: Store;
  log: Logger;
  clock: Clock;
  networkConfig: { chainId: number; contract: Hex };
};

export type DiscoveryOptions = {
  /** the ways to look for offers; default all */
  sources?: DiscoverySource[];
};

export declare function createDiscovery(deps: DiscoveryDeps, options?: DiscoveryOptions): Promise<Discovery>;
