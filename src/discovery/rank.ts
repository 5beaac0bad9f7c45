import type { KnownOffer, OfferQuery } from "./discovery.ts";
import { isWayOut, type Offer, type ServiceOffer } from "./offer.ts";

const sameText = (a: string | undefined, b: string) => a?.toLowerCase() === b.toLowerCase();

/** The services of an offer that fulfil the query. Who asks for none in particular wants a way out. */
const fitting = (offer: Offer, query: OfferQuery): ServiceOffer[] =>
  offer.services.filter(
    ({ kind, perGiB, perHour }) =>
      (query.service === undefined ? isWayOut({ kind }) : kind === query.service) &&
      (query.maxPerGiB === undefined || perGiB <= query.maxPerGiB) &&
      (query.maxPerHour === undefined || perHour <= query.maxPerHour),
  );

/** Does the offer fulfil the query? One that sells nothing fulfils none. */
export const matches = (offer: Offer, query: OfferQuery): boolean =>
  (query.peer === undefined || offer.peer === query.peer) &&
  (query.country === undefined || sameText(offer.country, query.country)) &&
  (query.city === undefined || sameText(offer.city, query.city)) &&
  (query.networkKind === undefined || offer.networkKind === query.networkKind) &&
  !query.openPorts?.some((port) => offer.closedPorts.includes(port)) &&
  !query.exclude?.includes(offer.peer) &&
  fitting(offer, query).length > 0;

/** What one GiB over one hour costs with the cheapest service that fits, in base units. There has to be one: see `matches`. */
export const priceOf = (offer: Offer, query: OfferQuery): bigint =>
  fitting(offer, query)
    .map(({ perGiB, perHour }) => perGiB + perHour)
    .reduce((a, b) => (a < b ? a : b));

const load = ({ sessions, maxSessions }: Offer) => (maxSessions === 0 ? 1 : sessions / maxSessions);

/**
 * The matching offers, best first: those with room before the full ones, then by price (one GiB over one hour), then the less
 * loaded, then by peer id, so that the order is the same for the same offers.
 */
export function rank<Known extends Pick<KnownOffer, "offer">>(offers: Iterable<Known>, query: OfferQuery): Known[] {
  const entries = [...offers]
    .filter(({ offer }) => matches(offer, query))
    .map((known) => ({ known, full: load(known.offer) >= 1 ? 1 : 0, price: priceOf(known.offer, query), load: load(known.offer) }));
  const compare = <T>(a: T, b: T) => (a < b ? -1 : a > b ? 1 : 0);
  return entries
    .sort((a, b) => a.full - b.full || compare(a.price, b.price) || a.load - b.load || compare(a.known.offer.peer, b.known.offer.peer))
    .map(({ known }) => known);
}
