import { randomBytes } from "node:crypto";
import type { Clock } from "../lib/clock.ts";
import { isMystError } from "../lib/errors.ts";
import type { Network, Validity } from "../network/network.ts";
import { createQuota } from "../network/quota.ts";
import type { Announcer } from "./announcer.ts";
import type { Catalogue } from "./catalogue.ts";
import type { Intake } from "./intake.ts";
import { checkTimes, maxOfferBytes, readOffer } from "./offer.ts";
import { offersTopic, wantedBytes, wantedTopic } from "./protocol.ts";

type Deps = {
  network: Pick<Network, "subscribe" | "publish" | "onSubscriber">;
  clock: Pick<Clock, "nowMs">;
  catalogue: Pick<Catalogue, "compare" | "all">;
  intake: Intake;
  own: Pick<Announcer, "request">;
};

/** What one exit may announce: a little more than announcers allow themselves, since messages may arrive in bunches. */
const perExit = { burst: 12, perSecond: 0.12 };
/** How often this node may ask who sells. */
const askRate = { burst: 4, perSecond: 0.2 };
/** Questions of others that one neighbour may pass on. */
const wantedQuota = { burst: 20, perSecond: 2 };

const isMalformed = (error: unknown) => isMystError(error, "MALFORMED") || isMystError(error, "BAD_SIGNATURE");

/**
 * What to do with an offer from gossip; it is in the catalogue when accepted. Cheap checks first: a signature is looked at only
 * when the offer is newer than what is held and its exit has not said too much already.
 */
export function offerValidator({ catalogue, intake, clock }: Pick<Deps, "catalogue" | "intake" | "clock">) {
  const said = createQuota(clock, perExit);
  return (bytes: Uint8Array): Validity => {
    try {
      const signed = readOffer(bytes);
      checkTimes(signed.offer, clock.nowMs());
      const relation = catalogue.compare(signed);
      if (relation === "same") return "accept";
      if (relation === "older" || !said.has(signed.offer.peer)) return "ignore";
      const taken = intake.take(signed, "gossip");
      // only now is it proven that the exit itself said it
      said.take(signed.offer.peer);
      return taken ? "accept" : "ignore";
    } catch (error) {
      return isMalformed(error) ? "reject" : "ignore";
    }
  };
}

/** Listens for offers and for those who look for some. A node that comes late asks: gossip itself keeps nothing for it. */
export async function listenToGossip({ network, clock, catalogue, intake, own }: Deps): Promise<{ solicit(): Promise<void> }> {
  const validate = offerValidator({ catalogue, intake, clock });
  const asked = createQuota(clock, askRate);
  const solicit = async () => {
    if (!asked.has("")) return;
    const reached = await network.publish(wantedTopic, Uint8Array.from(randomBytes(wantedBytes)));
    // before there are neighbours to ask, trying must not use up the rate
    if (reached > 0) asked.take("");
  };
  network.onSubscriber(wantedTopic, () => {
    if (catalogue.all().length === 0) solicit().catch(() => undefined);
  });
  network.onSubscriber(offersTopic, () => own.request());
  await network.subscribe<never>({
    name: offersTopic,
    maxBytes: maxOfferBytes,
    validate: async (bytes) => ({ validity: validate(bytes) }),
    onMessage: () => undefined,
  });
  await network.subscribe<true>({
    name: wantedTopic,
    maxBytes: wantedBytes,
    quota: wantedQuota,
    validate: async (bytes) => (bytes.length === wantedBytes ? { validity: "accept", value: true } : { validity: "reject" }),
    onMessage: () => own.request(),
  });
  return { solicit };
}
