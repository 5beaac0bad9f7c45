import type { Clock } from "../lib/clock.ts";
import { deadline } from "../lib/lifecycle.ts";
import type { Network } from "../network/network.ts";
import type { Announcers } from "./announcers.ts";
import type { Discovery, KnownOffer, OfferQuery } from "./discovery.ts";
import type { Finder } from "./finder.ts";
import { offerLifeMs } from "./offer.ts";

type Deps = Pick<Discovery, "onOffer"> & {
  /** what matches and is known now, best first */
  offers(query: OfferQuery): KnownOffer[];
  /** is it an offer of somebody else that matches? */
  fits(known: KnownOffer, query: OfferQuery): boolean;
  /** when the last news came */
  newsMs(): number;
  finder: Pick<Finder, "look" | "round" | "isHearing">;
  network: Pick<Network, "peers">;
  announcers: Pick<Announcers, "standing" | "check">;
  clock: Clock;
};

/** A choice by price, and not by who was fastest: it waits until no news has come for this long and those just met have spoken, but not for ever. */
const settleMs = 150;
const settleStepMs = 30;
const maxSettleMs = 1000;
/** A sweep ends so long after the last source has said all, or after the last news where one does not come to an end. */
const sweptMs = 400;
const quietMs = 2_500;
const connectedMs = 50;
/** Of so many at the top of a search the chain is asked whether they have a bond, again while some of them fall out. */
const vettedAtTop = 16;
const vetMs = 2_000;
const maxVettings = 16;
/** Who announces does so every 4 min, give or take a fifth: one that has missed that is most likely gone. */
const missedMs = 5.5 * 60_000;

/** Looks for offers: for the first that fit, or for all there are. */
export function createLooking({
  offers,
  fits,
  onOffer,
  newsMs,
  finder,
  network,
  announcers,
  clock,
}: Deps): Pick<Discovery, "find" | "sweep" | "search"> {
  /** What matches as it comes, while `look` goes on and after it, until the signal fires. */
  async function* arriving(
    query: OfferQuery,
    signal: AbortSignal,
    look: (until: AbortSignal) => Promise<void>,
  ): AsyncGenerator<KnownOffer> {
    const waiting: KnownOffer[] = offers(query);
    let wake: () => void = () => undefined;
    const off = onOffer((known) => {
      if (fits(known, query)) waiting.push(known);
      wake();
    });
    const done = new AbortController();
    const until = AbortSignal.any([signal, done.signal]);
    until.addEventListener("abort", () => wake(), { once: true });
    void look(until);
    try {
      while (!signal.aborted) {
        const next = waiting.shift();
        if (next) yield next;
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
            if (signal.aborted) resolve();
          });
      }
    } finally {
      off();
      done.abort();
    }
  }
  const find = (query: OfferQuery, signal: AbortSignal) =>
    arriving(query, signal, (until) => finder.look(query, () => offers(query).length > 0, until));

  /** Looks everywhere twice, the second time with those who have been met in the first. */
  const lookEverywhere = async (query: OfferQuery, signal: AbortSignal) => {
    while (network.peers().length === 0 && !signal.aborted) await clock.sleep(connectedMs, signal).catch(() => undefined);
    for (let round = 0; round < 2 && !signal.aborted; round += 1) await finder.round(query, signal);
    await clock.sleep(sweptMs, signal).catch(() => undefined);
  };
  const untilQuiet = async (query: OfferQuery, signal: AbortSignal) => {
    const beganMs = clock.nowMs();
    while (!signal.aborted && (offers(query).length === 0 || clock.nowMs() < Math.max(newsMs(), beganMs) + quietMs))
      await clock.sleep(connectedMs, signal).catch(() => undefined);
  };
  async function* sweep(query: OfferQuery, signal: AbortSignal): AsyncGenerator<KnownOffer> {
    const swept = new AbortController();
    const until = AbortSignal.any([signal, swept.signal]);
    yield* arriving(query, until, async () => {
      await Promise.race([lookEverywhere(query, until), untilQuiet(query, until)]);
      swept.abort();
    });
  }

  const search = async (query: OfferQuery, signal: AbortSignal) => {
    if (offers(query).length === 0) for await (const _ of find(query, signal)) break;
    const end = clock.nowMs() + maxSettleMs;
    const isSettled = () => clock.nowMs() >= newsMs() + settleMs && !finder.isHearing();
    while (clock.nowMs() < end && !isSettled() && !signal.aborted) await clock.sleep(settleStepMs, signal).catch(() => undefined);
    return vetted(query, signal);
  };

  const isUnknown = ({ offer }: KnownOffer) => announcers.standing(offer.address) === "unknown";
  /** Without those that seem to be gone, or at the top turn out to have no bond; last those of which nobody can say. */
  const vetted = async (query: OfferQuery, signal: AbortSignal): Promise<KnownOffer[]> => {
    for (let vettings = 0; vettings < maxVettings && !signal.aborted; vettings += 1) {
      const unknown = offers(query).slice(0, vettedAtTop).filter(isUnknown);
      await announcers.check(
        unknown.map(({ offer }) => offer.address),
        deadline(vetMs, signal, clock),
      );
      if (unknown.length === 0 || unknown.every(isUnknown)) break;
    }
    const known = offers(query);
    const lively = known.filter(({ offer }) => offer.expiresMs - clock.nowMs() > offerLifeMs - missedMs);
    const found = lively.length > 0 ? lively : known;
    return [...found.filter((one) => !isUnknown(one)), ...found.filter(isUnknown)];
  };

  return { find, sweep, search };
}
