import { apartKm } from "../country/distance.ts";
import { chanceOf, type View, type Weighed, weigh } from "../discovery/choice.ts";
import type { KnownOffer } from "../discovery/discovery.ts";
import type { Hex } from "../lib/codec.ts";
import type { Explanation } from "../reputation/reputation.ts";
import type { Place } from "./locating.ts";
import type { ExplainView } from "./types.ts";
import { exitViews } from "./views.ts";

type Ranked = { place: number; of: number; chance: number; weighed: Weighed<KnownOffer> | undefined };

/** Where an exit stands among those of its country that have a place left. A full one stands nowhere. */
export function rankOf(offer: KnownOffer, offers: KnownOffer[], view: View): Ranked {
  const weighed = weigh(offers, { country: offer.offer.country }, view);
  const index = weighed.findIndex(({ known }) => known.offer.peer === offer.offer.peer);
  const one = weighed[index];
  return { place: index + 1, of: weighed.length, chance: one ? chanceOf(one, weighed, view) : 0, weighed: one };
}

/** Amounts that were faded are told in whole base units. */
const units = (amount: number): bigint => BigInt(Math.round(amount));

/** What there is to say of an exit that offers something now. */
type Beside = {
  offer?: KnownOffer | undefined;
  ranked?: Ranked | undefined;
  rttMs?: number | undefined;
  place?: Place;
  here?: string | undefined;
};

const located = ({ claimed, state, refutedBy, endpoint, egress, measured, seen, told }: Place, here: string | undefined) => ({
  ...{ claimed, state, ...(refutedBy && { refutedBy }), ...(here !== undefined && { here }) },
  ...{ ...(seen && { egress: seen }), ...(told !== undefined && { told }) },
  databases: [...endpoint.map((one) => ({ ...one, of: "endpoint" as const })), ...egress.map((one) => ({ ...one, of: "egress" as const }))],
  measured: measured.map((one) => ({ ...one, apartKm: apartKm(one.country, claimed) ?? 0 })),
});

/** All that makes an exit's score, for people and programs. */
export function explainView(
  { peer, address }: { peer: string; address: Hex },
  known: Explanation,
  { offer, ranked, rttMs, place, here }: Beside,
): ExplainView {
  const { own, coPayers, stake, bounds } = known;
  const optional = <K extends string>(name: K, value: number | undefined) =>
    (value === undefined ? {} : { [name]: value }) as { [name in K]?: number };
  return {
    ...{ peer, address, score: known.score, quality: known.quality, evidence: known.evidence },
    ...optional("mbps", known.mbps),
    ...optional("rttMs", rttMs),
    exits: offer ? exitViews(offer) : [],
    ...(place && { country: located(place, here) }),
    ...(ranked?.weighed && {
      rank: { place: ranked.place, of: ranked.of, chance: ranked.chance, utility: ranked.weighed.utility, factors: ranked.weighed.factors },
    }),
    own: {
      ...{ sessions: own.sessions, fails: own.fails, ok: own.ok, fail: own.fail, settled: units(own.volume) },
      ...optional("mbps", own.mbps),
      ...optional("rttMs", own.rttMs),
    },
    coPayers: coPayers.map((one) => ({ ...one, settled: units(one.settled) })),
    gossip: {
      ...{ weight: known.gossip, raters: known.raters, flow: known.flow, reference: known.reference },
      ...{ most: bounds.gossip, mostOfOne: bounds.rater },
    },
    stake: { bond: stake.bond, ageMs: known.stakeAgeMs, share: known.cold },
    isNew: known.isNew,
  };
}
