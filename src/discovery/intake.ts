import type { Clock } from "../lib/clock.ts";
import type { Announcers } from "./announcers.ts";
import type { Catalogue } from "./catalogue.ts";
import type { DiscoverySource, OfferListener } from "./discovery.ts";
import { checkTimes, readOffer, type SignedOffer } from "./offer.ts";

/** The one way into the catalogue, whatever brought an offer. */
export type Intake = {
  /** Takes an offer whose times hold; true when it is news. @throws BAD_SIGNATURE, MALFORMED */
  take(signed: SignedOffer, source: DiscoverySource): boolean;
  /** The same from an envelope. @throws MALFORMED, OFFER_EXPIRED, BAD_SIGNATURE */
  takeBytes(bytes: Uint8Array, source: DiscoverySource): boolean;
};

export function createIntake(deps: {
  catalogue: Catalogue;
  announcers: Pick<Announcers, "standing">;
  clock: Pick<Clock, "nowMs">;
  self: string;
  /** its key was handed over: whoever signs with it now is somebody else, or late */
  isRetired(peer: string): boolean;
  onOffer: OfferListener;
}): Intake {
  const take = (signed: SignedOffer, source: DiscoverySource): boolean => {
    const { peer, address } = signed.offer;
    // our own comes back from others, and is older than what we know of ourselves
    if (
      peer === deps.self ||
      deps.isRetired(peer) ||
      deps.announcers.standing(address) === "unbonded" ||
      !deps.catalogue.add(signed, source)
    )
      return false;
    const known = deps.catalogue.get(signed.offer.peer);
    if (known) deps.onOffer(known, source);
    return true;
  };
  return {
    take,
    takeBytes: (bytes, source) => {
      const signed = readOffer(bytes);
      checkTimes(signed.offer, deps.clock.nowMs());
      return take(signed, source);
    },
  };
}
