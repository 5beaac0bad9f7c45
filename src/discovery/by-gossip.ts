import { randomBytes } from "node:crypto";
import type { Clock } from "../lib/clock.ts";
import { isMystError } from "../lib/errors.ts";
import { deadline } from "../lib/lifecycle.ts";
import type { Network, Validity } from "../network/network.ts";
import { createQuota } from "../network/quota.ts";
import type { Announcer } from "./announcer.ts";
import type { Announcers } from "./announcers.ts";
import type { Catalogue } from "./catalogue.ts";
import type { Intake } from "./intake.ts";
import { checkTimes, maxOfferBytes, readOffer } from "./offer.ts";
import { offersTopic, wantedBytes, wantedTopic } from "./protocol.ts";

type Deps = {
  network: Pick<Network, "subscribe" | "publish" | "onSubscriber">;
  clock: Pick<Clock, "nowMs" | "timeout" | "sleep">;
  catalogue: Pick<Catalogue, "compare" | "all">;
  announcers: Announcers;
  intake: Intake;
  own: Pick<Announcer, "request" | "unheard">;
  /** how long other ways may take before everybody is asked; 0 where there are none */
  patienceMs: number;
  stopped: AbortSignal;
};

/** What one exit may announce: a little more than announcers allow themselves, since messages may arrive in bunches. */
const perExit = { burst: 12, perSecond: 0.12 };
/** How often this node may ask who sells. */
const askRate = { burst: 4, perSecond: 0.2 };
/** Questions of others that one neighbour may pass on. */
const wantedQuota = { burst: 20, perSecond: 2 };

const isMalformed = (error: unknown) => isMystError(error, "MALFORMED") || isMystError(error, "BAD_SIGNATURE");

/** The chain is asked whether an announcer has a bond within this; until it has answered the offer is not passed on. */
const standingMs = 2_000;

/**
 * What to do with an offer from gossip; it is in the catalogue when accepted. Cheap checks first: a signature is looked at only
 * when the offer is newer than what is held and its exit has not said too much already; and the chain only when the signature is right. An
 * offer of whom nobody knows whether it has a bond is kept here, but not passed on.
 */
export function offerValidator({
  catalogue,
  intake,
  announcers,
  clock,
}: Pick<Deps, "catalogue" | "intake" | "announcers"> & { clock: Pick<Clock, "nowMs" | "timeout"> }) {
  const said = createQuota(clock, perExit);
  return async (bytes: Uint8Array): Promise<Validity> => {
    try {
      const signed = readOffer(bytes);
      const { peer, address } = signed.offer;
      checkTimes(signed.offer, clock.nowMs());
      const relation = catalogue.compare(signed);
      if (relation === "same") return announcers.standing(address) === "bonded" ? "accept" : "ignore";
      if (relation === "older" || announcers.standing(address) === "unbonded" || !said.has(peer)) return "ignore";
      const taken = intake.take(signed, "gossip");
      // only now is it proven that the exit itself said it
      said.take(peer);
      if (taken && announcers.standing(address) === "unknown") await announcers.check([address], deadline(standingMs, undefined, clock));
      return taken && announcers.standing(address) === "bonded" ? "accept" : "ignore";
    } catch (error) {
      return isMalformed(error) ? "reject" : "ignore";
    }
  };
}

/** Listens for offers and for those who look for some. A node that comes late asks: gossip itself keeps nothing for it. */
export async function listenToGossip(deps: Deps): Promise<{ solicit(): Promise<void> }> {
  const { network, clock, catalogue, announcers, intake, own, patienceMs, stopped } = deps;
  const validate = offerValidator({ catalogue, intake, announcers, clock });
  const asked = createQuota(clock, askRate);
  const solicit = async () => {
    if (!asked.has("")) return;
    const reached = await network.publish(wantedTopic, Uint8Array.from(randomBytes(wantedBytes)));
    // before there are neighbours to ask, trying must not use up the rate
    if (reached > 0) asked.take("");
  };
  network.onSubscriber(wantedTopic, () => {
    const unlessTold = async () => {
      if (patienceMs > 0) await clock.sleep(patienceMs, stopped);
      if (catalogue.all().length === 0) await solicit();
    };
    unlessTold().catch(() => undefined);
  });
  network.onSubscriber(offersTopic, () => own.unheard());
  await network.subscribe<never>({
    name: offersTopic,
    maxBytes: maxOfferBytes,
    validate: async (bytes) => ({ validity: await validate(bytes) }),
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
