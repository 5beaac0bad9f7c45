import { randomInt } from "node:crypto";
import type { Chain } from "../chain/chain.ts";
import { createPoller } from "../chain/poller.ts";
import type { Databases } from "../country/databases.ts";
import { openSeenEgress, type SeenEgress } from "../country/egress.ts";
import { type EvidenceLevel, suffices } from "../country/evidence.ts";
import { choose, type View, weigh } from "../discovery/choice.ts";
import type { Discovery, KnownOffer, OfferQuery } from "../discovery/discovery.ts";
import { watchKind } from "../discovery/offer.ts";
import type { Identity } from "../identity/identity.ts";
import { peerAddress } from "../identity/peer.ts";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { MystError } from "../lib/errors.ts";
import { deadline } from "../lib/lifecycle.ts";
import type { NetworkConfig } from "../lib/network-config.ts";
import type { Logger } from "../lib/ports.ts";
import type { Store } from "../lib/store.ts";
import { isRelayed, networkOf } from "../network/diversity.ts";
import type { Network } from "../network/network.ts";
import type { PayerLedger } from "../payments/payer-ledger.ts";
import { channelId } from "../payments/promise.ts";
import { createReputation, type Judged } from "../reputation/reputation.ts";
import type { OwnSession } from "../reputation/telling.ts";
import { explainView, rankOf } from "./explaining.ts";
import { createLocating } from "./locating.ts";
import type { ExitView, ExplainView, NodeOptions } from "./types.ts";

export type JudgingDeps = {
  network: Network;
  discovery: Pick<Discovery, "offers" | "handovers">;
  chain: Pick<Chain, "events">;
  payer: Pick<PayerLedger, "channels">;
  identity: Identity;
  store: Store;
  clock: Clock;
  log: Logger;
  databases: Databases;
  /** the country that this machine is in, where that is known */
  here(): string | undefined;
};

/** What exits have to have at least. */
export type Least = { minScore?: number | undefined; evidence?: EvidenceLevel | undefined };

/** What this node thinks of exits, where it chooses one and where it shows them. */
export type Judging = AsyncDisposable & {
  /** The offers that match, in the order in which to try them; without full ones, and without those that have less. */
  choose(offers: KnownOffer[], query: OfferQuery, least?: Least): Promise<KnownOffer[]>;
  /** The same exits with what is known of each. */
  shown(exits: ExitView[]): Promise<ExitView[]>;
  /** A session of ours is over, or came to nothing by the exit's fault. */
  note(exit: Pick<ExitView, "address" | "peer">, session: Omit<OwnSession, "provider" | "endedMs">): Promise<void>;
  /** Peers that offer something and have a bond, as the chain was read last. */
  staked(): Promise<{ peer: string; addresses: string[] }[]>;
  /** The traffic of an exit was seen to come out there. */
  noteEgress: SeenEgress["note"];
  /** @throws NO_MATCHING_EXIT for an exit of which nothing was ever heard */
  explain(peer: string): Promise<ExplainView>;
  stop(): Promise<void>;
};

const readEveryMs = 60_000;
/** an RPC that does not answer keeps no node from ending */
const stopMs = 500;
const askMs = 3_000;
const precision = 2 ** 32;
const random = () => randomInt(precision) / precision;

/** Begins to listen to what others tell of exits, and to read what the contract clears. */
export async function startJudging(deps: JudgingDeps, config: NetworkConfig, options: Pick<NodeOptions, "shareRecords">): Promise<Judging> {
  const { network, discovery, payer, store, clock } = deps;
  const log = deps.log.child("reputation");
  const others = () => network.peers().map(({ peer }) => peer);
  const reputation = await createReputation(
    {
      ...{ network, identity: deps.identity, store, clock, log, networkConfig: config, channelOf: channelId },
      channels: payer.channels,
      exits: () => discovery.offers().map(({ offer }) => offer.address),
      names: discovery.handovers,
    },
    { share: options.shareRecords ?? true },
  );
  // what cannot be read now is read later: nobody waits for it, so it is no news either
  const quiet: Logger = { ...log, warn: log.debug, child: () => quiet };
  const reader = createPoller(
    { source: deps.chain.events, table: store.table("reputation-read"), write: store.write, log: quiet, clock },
    { startBlock: config.startBlock, everyMs: readEveryMs, apply: reputation.apply },
  );

  /** What is known of the exits that offer these, by peer. */
  const viewOf = async (offers: readonly KnownOffer[]): Promise<View & { judged(peer: string): Judged | undefined }> => {
    const exits = new Map(offers.map(({ offer }) => [offer.peer, offer]));
    const judge = await reputation.judge([...exits.values()].map(({ address }) => address));
    const judged = new Map([...exits].map(([peer, { address }]) => [peer, judge(address)]));
    const of = (peer: string) => judged.get(peer);
    const placesOf = (peer: string): string[] => {
      const asn = of(peer)?.asn;
      // who is reached through a relay is not where that is
      const direct = (exits.get(peer)?.addresses ?? []).filter((address) => !isRelayed(address));
      const networks = direct.map(networkOf).filter((name) => name !== undefined);
      return [...new Set([...networks, ...(asn === undefined ? [] : [`AS${asn}`])])];
    };
    return {
      judged: of,
      score: (peer) => of(peer)?.score ?? 0,
      mbps: (peer) => of(peer)?.mbps,
      countryConfidence: (peer) => {
        const offer = exits.get(peer);
        return offer ? locating.of(offer, of(peer)?.egressCountry).confidence : 1;
      },
      places: placesOf,
      isNew: (peer) => of(peer)?.isNew ?? true,
      stake: (peer) => Number(of(peer)?.stake.bond ?? 0n),
    };
  };
  const seen = await openSeenEgress(store, clock);
  const locating = createLocating({ ...deps, seen });
  const pingOf = (peer: string) => network.peers().find((one) => one.peer === peer)?.rttMs;
  const rttOf = (peer: string, judged: Judged) => pingOf(peer) ?? judged.rttMs;

  const stop = async () => {
    await reputation.stop();
    await Promise.race([reader.stop(), clock.sleep(stopMs)]);
  };
  return {
    choose: async (offers, query, { minScore = 0, evidence } = {}) => {
      const view = await viewOf(offers);
      const isProven = (offer: KnownOffer["offer"]) =>
        evidence === undefined || suffices(locating.of(offer, view.judged(offer.peer)?.egressCountry).state, evidence);
      const fit = offers.filter(({ offer }) => view.score(offer.peer) >= minScore && isProven(offer));
      return choose(weigh(fit, query, view), view, random);
    },
    shown: async (exits) => {
      const judge = await reputation.judge([...new Set(exits.map(({ address }) => address))]);
      return exits.map((exit) => {
        const judged = judge(exit.address);
        const rttMs = rttOf(exit.peer, judged);
        return {
          ...exit,
          ...{ score: judged.score, evidence: locating.of(exit, judged.egressCountry).state },
          ...(rttMs !== undefined && { rttMs }),
          ...(judged.mbps !== undefined && { mbps: judged.mbps }),
          ...(judged.asn !== undefined && { asn: judged.asn }),
        };
      });
    },
    note: async ({ address, peer }, session) => {
      // with nobody else connected either, it is our line that is down
      if (session.failed && !others().some((other) => other !== peer)) return;
      const rttMs = pingOf(peer) ?? session.rttMs;
      await reputation.note({ ...session, ...(rttMs !== undefined && { rttMs }), provider: address, endedMs: clock.nowMs() });
    },
    noteEgress: seen.note,
    staked: async () => {
      const all = [...discovery.offers(), ...discovery.offers({ service: watchKind })].map(({ offer }) => offer);
      const judge = await reputation.judge([...new Set(all.map(({ address }) => address))]);
      const isStaked = (address: Hex) => judge(address).stake.bond > 0n && judge(address).stake.bond >= config.minBond;
      return all.filter(({ address }) => isStaked(address)).map(({ peer, addresses }) => ({ peer, addresses }));
    },
    explain: async (peer) => {
      const offer = discovery.offers({ peer })[0];
      const address = offer?.offer.address ?? addressOf(peer);
      await reputation.ask([address], deadline(askMs));
      const known = await reputation.explain(address);
      if (!offer && known.raters === 0 && known.own.sessions === 0) throw neverHeardOf(peer);
      const beside = offer ? discovery.offers({ country: offer.offer.country }) : [];
      const ranked = offer && rankOf(offer, beside, await viewOf(beside));
      return explainView({ peer, address }, known, {
        ...{ offer, ranked, rttMs: rttOf(peer, known) },
        ...(offer && { place: locating.of(offer.offer, known.egressCountry), here: deps.here() }),
      });
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

const neverHeardOf = (peer: string) =>
  new MystError("NO_MATCHING_EXIT", `nothing is known of an exit ${peer}`, {
    hint: "give the whole peer id; 'mystnode exits --json' has it",
  });

/** @throws NO_MATCHING_EXIT for what is no peer's id */
function addressOf(peer: string): Hex {
  try {
    return peerAddress(peer);
  } catch {
    throw neverHeardOf(peer);
  }
}
