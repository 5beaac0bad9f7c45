import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/ports.ts";
import type { Network } from "../network/network.ts";
import type { Announcer } from "./announcer.ts";
import type { Announcers } from "./announcers.ts";
import { lookInMemory } from "./asking.ts";
import { lookInDht } from "./by-dht.ts";
import { listenToGossip } from "./by-gossip.ts";
import { createSnapshots } from "./by-snapshot.ts";
import type { Catalogue } from "./catalogue.ts";
import type { DiscoverySource, OfferListener, OfferQuery } from "./discovery.ts";
import { createIntake } from "./intake.ts";
import type { Memory } from "./memory.ts";
import { encodeOffer, maxOfferBytes } from "./offer.ts";
import { offerProtocol } from "./protocol.ts";

type Deps = {
  network: Network;
  clock: Clock;
  log: Logger;
  catalogue: Catalogue;
  announcers: Announcers;
  memory: Pick<Memory, "recall">;
  isRetired(peer: string): boolean;
  own: Pick<Announcer, "current" | "request" | "unheard">;
  onOffer: OfferListener;
};

export type Finder = {
  /** Looks in each source, again and again but ever less often, until something is found or the signal fires. Never throws. */
  look(query: OfferQuery, found: () => boolean, signal: AbortSignal): Promise<void>;
  /** Has a peer that we have just met yet to say what it knows? */
  isHearing(): boolean;
  /** Looks once in each source, to its end. Never throws. */
  round(query: OfferQuery, signal: AbortSignal): Promise<void>;
  /** Our own offer is new: hands it to neighbours, whom gossip may not reach. Never throws. */
  exchange(): Promise<void>;
  stop(): Promise<void>;
};

/** Who asks by gossip has every exit of the market answer everybody: a neighbour's snapshot and the DHT, which cost a few peers little, may answer before. */
const gossipPatienceMs = 1_000;
const firstPauseMs = 500;
const maxPauseMs = 8_000;

/** Takes offers in from the chosen sources and from no other; answers others in all ways, whatever is chosen here. */
export async function createFinder(deps: Deps, sources: ReadonlySet<DiscoverySource>): Promise<Finder> {
  const { network, clock, log, catalogue, announcers, own } = deps;
  const stopped = new AbortController();
  const intake = createIntake({ ...deps, self: network.peerId });

  await network.answer(offerProtocol, { maxQuestion: 0, maxAnswer: maxOfferBytes }, async () => {
    const offer = own.current();
    if (!offer) throw new Error("nothing is offered here");
    return encodeOffer(offer);
  });
  const snapshots = await createSnapshots({ network, clock, log, catalogue, announcers, own, intake }, sources.has("snapshot"));
  const patienceMs = sources.has("snapshot") || sources.has("dht") ? gossipPatienceMs : 0;
  const gossip = sources.has("gossip")
    ? await listenToGossip({ network, clock, catalogue, announcers, intake, own, patienceMs, stopped: stopped.signal })
    : undefined;

  const waysTo = (query: OfferQuery, found: () => boolean, until: AbortSignal): (() => Promise<void>)[] => {
    const ways: (() => Promise<void>)[] = [];
    if (sources.has("snapshot")) ways.push(() => snapshots.pull(until));
    if (sources.has("dht")) ways.push(() => lookInDht({ network, clock, log, intake }, query, until));
    if (sources.has("cache")) ways.push(() => lookInMemory({ network, clock, log, intake }, deps.memory.recall(query), found, until));
    return ways;
  };
  const quietly = (work: () => Promise<void>) =>
    work().catch((error) => log.debug("a look for offers failed", { error: (error as Error).message }));
  const inRounds = async (work: () => Promise<void>, found: () => boolean, signal: AbortSignal) => {
    for (let pauseMs = firstPauseMs; !signal.aborted && !found(); pauseMs = Math.min(pauseMs * 2, maxPauseMs)) {
      await quietly(work);
      if (!found()) await clock.sleep(pauseMs, signal).catch(() => undefined);
    }
  };
  return {
    exchange: snapshots.exchange,
    isHearing: snapshots.isPulling,
    look: async (query, found, signal) => {
      const until = AbortSignal.any([signal, stopped.signal]);
      const patiently = async (work: () => Promise<void>) => {
        if (patienceMs > 0) await clock.sleep(patienceMs, until).catch(() => undefined);
        await inRounds(work, found, until);
      };
      const ways = waysTo(query, found, until).map((work) => inRounds(work, found, until));
      await Promise.all(gossip ? [...ways, patiently(gossip.solicit)] : ways);
    },
    round: async (query, signal) => {
      const until = AbortSignal.any([signal, stopped.signal]);
      const ways = waysTo(query, () => false, until);
      await Promise.all((gossip ? [...ways, gossip.solicit] : ways).map(quietly));
    },
    stop: async () => {
      stopped.abort();
      await snapshots.stop();
    },
  };
}
