import type { Identity } from "../identity/identity.ts";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { every } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import type { Store } from "../lib/store.ts";
import type { Network } from "../network/network.ts";
import { createAnnouncer } from "./announcer.ts";
import { type Announcers, everybody } from "./announcers.ts";
import { openCatalogue } from "./catalogue.ts";
import { createFinder } from "./finder.ts";
import { followHandovers, type Handovers } from "./handovers.ts";
import { createLooking } from "./looking.ts";
import { openMemory } from "./memory.ts";
import type { Offer, SignedOffer } from "./offer.ts";
import { matches, rank } from "./rank.ts";

/** `cache`: exits of an earlier run, asked themselves. */
export type DiscoverySource = "gossip" | "snapshot" | "dht" | "cache";
export const allSources: DiscoverySource[] = ["gossip", "snapshot", "dht", "cache"];

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
  networkKind?: string;
  /** ports that its clients can reach */
  openPorts?: number[];
  /** base units */
  maxPerGiB?: bigint | undefined;
  maxPerHour?: bigint | undefined;
  /** peer ids not wanted */
  exclude?: string[];
};

export type OfferListener = (known: KnownOffer, source: DiscoverySource) => void;

export type Discovery = AsyncDisposable & {
  /**
   * Begins to announce, or announces what has changed: a few at once, then one in 10 s, the newest content counting.
   * @throws MALFORMED when the content makes no offer
   */
  announce(content: OfferContent): Promise<void>;
  /** Stops announcing and tells the network so. */
  withdraw(): Promise<void>;
  /** Current matching offers of others now, from the local catalogue: those with room first, then the cheapest. */
  offers(query?: OfferQuery): KnownOffer[];
  /** Matching offers as they come, those known first; a peer comes again with each newer offer. Ends (without an error) when the signal fires. */
  find(query: OfferQuery, signal: AbortSignal): AsyncIterable<KnownOffer>;
  /** Matching offers as they come, those known first, until every source has been asked to its end or the signal fires: all there are. */
  sweep(query: OfferQuery, signal: AbortSignal): AsyncIterable<KnownOffer>;
  /**
   * What is known, or waits for the first match; and a moment more while others come in. Those not known to have a bond, where the network
   * asks for one and the chain cannot be asked, come last. Empty when the signal fires before any match.
   */
  search(query: OfferQuery, signal: AbortSignal): Promise<KnownOffer[]>;
  /** This node has had a session with that exit: it is remembered before others. */
  used(peer: string): void;
  /** who goes on under another key */
  handovers: Pick<Handovers, "current" | "now" | "before">;
  /** called for each newer offer, with the source that brought it */
  onOffer(listener: OfferListener): () => void;
  stop(): Promise<void>;
};

export type DiscoveryDeps = {
  network: Network;
  identity: Identity;
  store: Store;
  log: Logger;
  clock: Clock;
  networkConfig: { chainId: number; contract: Hex };
  /** who may announce; default everybody */
  announcers?: Announcers;
  /** signed when keys of this node were changed */
  ownHandovers?: Uint8Array[];
  /** is this peer known here in another way than by its offer? Then its hand-over matters, too */
  isKnown?(peer: string): boolean;
};

export type DiscoveryOptions = {
  /** the ways to look for offers; default all. What is offered here is told in all ways. */
  sources?: DiscoverySource[];
};

const saveMs = 10_000;
/** how soon it is known of those that snapshots have brought whether they may be told of to others */
const reviewMs = 2_000;

/** Joins the market of one network: announces, listens, looks, remembers. */
export async function createDiscovery(deps: DiscoveryDeps, options: DiscoveryOptions = {}): Promise<Discovery> {
  const { network, identity, store, clock, log, announcers = everybody } = deps;
  const domain = { chainId: deps.networkConfig.chainId, contract: deps.networkConfig.contract };
  const listeners = new Set<OfferListener>();
  let newsMs = 0;
  const catalogue = await openCatalogue({ store, clock, network: domain, announcers });
  const memory = await openMemory({ store, clock });
  const handovers = await followHandovers(
    {
      ...{ network, store, clock, log, domain },
      isKnown: (peer) => catalogue.get(peer) !== undefined || memory.has(peer) || (deps.isKnown?.(peer) ?? false),
      onHandover: ({ from, to }) => {
        catalogue.forget(from);
        memory.moved(from, to);
      },
    },
    deps.ownHandovers ?? [],
  );
  const others = () => catalogue.all().filter(({ offer }) => offer.peer !== identity.peerId);
  /** who was known under an earlier key is meant as it is now */
  const asNow = ({ peer, exclude, ...query }: OfferQuery): OfferQuery => ({
    ...query,
    ...(peer !== undefined && { peer: handovers.current(peer) }),
    ...(exclude && { exclude: [...exclude, ...exclude.map(handovers.current)] }),
  });
  const offers = (query: OfferQuery = {}) => rank(others(), asNow(query));

  const announcer = await createAnnouncer({
    network,
    identity,
    store,
    clock,
    log,
    domain,
    marketSize: () => catalogue.all().length,
    exchange: () => finder.exchange(),
  });
  const finder = await createFinder(
    {
      network,
      clock,
      log,
      catalogue,
      announcers,
      memory,
      isRetired: handovers.isRetired,
      own: announcer,
      onOffer: (known, source) => {
        newsMs = clock.nowMs();
        for (const listener of [...listeners]) listener(known, source);
      },
    },
    new Set(options.sources ?? allSources),
  );
  const save = async () => {
    memory.note(others());
    for (const part of [catalogue, memory, announcers]) await part.save();
  };
  const saving = every(clock, saveMs, save, (error) => log.warn("offers not saved", { error: (error as Error).message }));
  const reviewing = every(
    clock,
    reviewMs,
    () => announcers.review(catalogue.all().map(({ offer }) => offer.address)),
    (error) => log.warn("bonds not looked up", { error: (error as Error).message }),
  );
  const onOffer = (listener: OfferListener) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  };

  const looking = createLooking({
    ...{ offers, onOffer, finder, network, clock, announcers },
    fits: ({ offer }, query) => offer.peer !== identity.peerId && matches(offer, asNow(query)),
    newsMs: () => newsMs,
  });

  let stopping: Promise<void> | undefined;
  const stop = () => {
    stopping ??= (async () => {
      await announcer.stop();
      await finder.stop();
      await handovers.stop();
      await Promise.all([saving.stop(), reviewing.stop()]);
      await save();
    })();
    return stopping;
  };
  return {
    announce: announcer.announce,
    withdraw: announcer.withdraw,
    offers,
    ...looking,
    used: memory.used,
    handovers,
    onOffer,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
