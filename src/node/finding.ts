import type { Discovery, KnownOffer, OfferQuery } from "../discovery/discovery.ts";
import { MystError } from "../lib/errors.ts";
import { deadline } from "../lib/lifecycle.ts";
import { formatAmount } from "../lib/units.ts";
import { apart, isRelayed } from "../network/diversity.ts";
import type { Network } from "../network/network.ts";
import { connectInvites } from "./invites.ts";
import type { Judging } from "./judging.ts";
import { hasEnough } from "./listing.ts";
import type { EvidenceLevel, ExitView, FindOptions } from "./types.ts";
import { exitViews } from "./views.ts";

export type FindingDeps = {
  network: Pick<Network, "connect">;
  discovery: Pick<Discovery, "search" | "find" | "offers">;
  /** which of the exits that fit to try, in this order */
  judging: Pick<Judging, "choose" | "shown">;
  unit: { symbol: string; decimals: number };
  self: { peer: string };
};

const searchMs = 15_000;
/** exits tried before giving up */
export const tries = 5;
/** of one /24 or /48 among those that are tried first: who has many addresses there, or keeps us from one, is not all there is */
const mostOfNetwork = 2;

const directOf = ({ addresses }: ExitView): string[] => addresses.filter((address) => !isRelayed(address));

/** What is sold of the service wanted, within the price caps. */
export const fitting = (known: KnownOffer[], { service, maxPerGiB, maxPerHour }: FindOptions): ExitView[] =>
  known.flatMap(exitViews).filter((exit) => exit.service === service && exit.perGiB <= maxPerGiB && exit.perHour <= maxPerHour);

/** Those of these that fit, in the order in which to try them: none that is full, scores less or is less proven than was asked for. */
export async function inOrder(deps: FindingDeps, known: KnownOffer[], options: FindOptions): Promise<ExitView[]> {
  const { peer, maxPerGiB, maxPerHour, minScore } = options;
  const evidence = leastEvidence(options);
  // who names one exit wants that one
  if (peer !== undefined) return (await deps.judging.shown(fitting(known, options))).filter((exit) => hasEnough(exit, { evidence }));
  const chosen = await deps.judging.choose(known, { ...queryOf(deps, options), maxPerGiB, maxPerHour }, { minScore, evidence });
  return apart(fitting(chosen, options), directOf, mostOfNetwork);
}

/** Exits that match and fit the price caps, in the order in which to try them. @throws NO_MATCHING_EXIT, PRICE_OVER_CAP, EXIT_FULL, INTERRUPTED */
export async function findExits(deps: FindingDeps, options: FindOptions, signal: AbortSignal): Promise<ExitView[]> {
  const { service, via, minScore } = options;
  const evidence = leastEvidence(options);
  await connectInvites(deps.network, via ?? [], signal);
  const found = await deps.discovery.search(queryOf(deps, options), deadline(searchMs, signal));
  if (signal.aborted) throw new MystError("INTERRUPTED", "interrupted while looking for an exit");
  const exits = found.flatMap(exitViews).filter((exit) => exit.service === service);
  if (exits.length === 0) throw noneFound(options, deps.discovery.offers());
  const within = fitting(found, options);
  if (within.length > 0) {
    const order = await inOrder(deps, found, options);
    if (order.length > 0) return [...(await deps.judging.shown(order.slice(0, tries))), ...order.slice(tries)];
    const proven = (await deps.judging.shown(within)).filter((exit) => hasEnough(exit, { evidence }));
    throw proven.length > 0 ? noneLeft(proven, minScore) : noneProven(within.length, evidence);
  }
  const cheapest = exits[0] as ExitView;
  const price = `${formatAmount(cheapest.perGiB, deps.unit)}/GiB and ${formatAmount(cheapest.perHour, deps.unit)}/h`;
  throw new MystError("PRICE_OVER_CAP", `${exits.length} exits match, the cheapest at ${price}, over your price cap`, {
    hint: "raise --max-price-gib or --max-price-hour, or look at 'mystnode exits'",
    meta: { perGiB: cheapest.perGiB, perHour: cheapest.perHour },
  });
}

/** Who asks for a country gets no exit that is known not to be there; who names an exit has chosen it. */
const leastEvidence = ({ evidence, country, peer }: FindOptions): EvidenceLevel | undefined =>
  evidence ?? (country !== undefined && peer === undefined ? "claimed" : undefined);

function noneProven(count: number, evidence: EvidenceLevel = "claimed"): MystError {
  const what = count === 1 ? "the one exit that matches" : `each of the ${count} exits that match`;
  const remedies = {
    claimed: "ask for another --country, or see who says what with 'mystnode exits'",
    database: "read databases with --geoip-db, or ask for less with --evidence claimed: see 'mystnode exits'",
    latency: "say where this machine is with --here, or ask for less with --evidence database: see 'mystnode exits'",
  };
  const lacks = evidence === "claimed" ? "is not in the country that it claims" : `has less evidence for its country than '${evidence}'`;
  return new MystError("NO_MATCHING_EXIT", `${what} ${lacks}`, { hint: remedies[evidence] });
}

function noneLeft(fitting: ExitView[], minScore = 0): MystError {
  const what = fitting.length === 1 ? "the one exit that matches" : `each of the ${fitting.length} exits that match`;
  if (fitting.every(({ sessions, maxSessions }) => sessions >= maxSessions))
    return new MystError("EXIT_FULL", `${what} is full`, {
      hint: "try again in a few minutes, or ask for less: --country, --max-price-gib",
    });
  return new MystError("NO_MATCHING_EXIT", `${what} is full or scores less than ${minScore}`, {
    hint: "lower --min-score: 'mystnode exits --sort score' shows what exits have",
  });
}

export const queryOf = (
  { self }: FindingDeps,
  { country, city, networkKind, openPorts, service, peer, exclude = [] }: FindOptions,
): OfferQuery => ({
  service,
  exclude: [...exclude, self.peer],
  ...(country !== undefined && { country }),
  ...(city !== undefined && { city }),
  ...(networkKind !== undefined && { networkKind }),
  ...(openPorts !== undefined && { openPorts }),
  ...(peer !== undefined && { peer }),
});

function noneFound({ country, peer, service }: FindOptions, known: KnownOffer[]): MystError {
  const what = peer ? `exit ${peer}` : `exit${country ? ` in ${country}` : ""} with ${service}`;
  const countries = [...new Set(known.map(({ offer }) => offer.country))].sort();
  const hint =
    countries.length > 0
      ? `exits are known in ${countries.slice(0, 12).join(", ")}: see 'mystnode exits'`
      : "no peer was heard at all: see 'mystnode doctor'";
  return new MystError("NO_MATCHING_EXIT", `no ${what} was found`, { hint });
}
