import { apartKm, isLarge } from "./distance.ts";

/**
 * What stands behind the country that an exit claims, from the weakest on: its word; databases that have its address there; how long
 * packets take to it from somebody there whom this node trusts.
 */
export const levels = ["claimed", "database", "latency"] as const;
export type EvidenceLevel = (typeof levels)[number];
/** `refuted`: it is not there. */
export type CountryState = EvidenceLevel | "refuted";

/** What a database says of an address. */
export type Located = { database: string; address: string; country: string };

/** A round trip to the exit, measured by somebody trusted who is in `country`: `by` a peer, or undefined for this node itself. */
export type Measured = { country: string; rttMs: number; by?: string };

export type CountryFacts = {
  claimed: string;
  /** of the addresses by which its node is reached */
  endpoint: readonly Located[];
  /** of the address that its clients' traffic was seen to come from; empty where nobody has looked, or no database knows it */
  egress: readonly Located[];
  measured: readonly Measured[];
  /** where others saw that traffic come out who have paid exits that this node has paid, too */
  told?: string | undefined;
};

export type Judgement = {
  state: CountryState;
  /** 0 to 1, for the rank */
  confidence: number;
  /** who has shown that it is not there */
  refutedBy?: "egress" | "databases" | "latency";
};

/** Light in glass takes 1 ms for 100 km there and back. */
const kmPerMs = 100;
const nearMs = 15;
const nearInLargeMs = 40;

const confidences: Record<CountryState, number> = { claimed: 0.5, database: 0.8, latency: 1, refuted: 0.02 };

/** Can nobody in `claimed` be reached that soon from there? */
export const isImpossible = (claimed: string, { country, rttMs }: Measured): boolean => (apartKm(country, claimed) ?? 0) > kmPerMs * rttMs;

/** Is it as near to somebody in that country as only few are who are not there? */
export const isNear = (claimed: string, { country, rttMs }: Measured): boolean =>
  country === claimed && rttMs <= (isLarge(claimed) ? nearInLargeMs : nearMs);

/**
 * Weighs what is known of where an exit is. What was seen of its egress counts before what its endpoint looks like: a client is where its
 * traffic comes out. Databases refute when all that know an address have it elsewhere; where they differ, or others saw it come out elsewhere,
 * the exit has only its word.
 */
export function judgeCountry({ claimed, endpoint, egress, measured, told }: CountryFacts): Judgement {
  const located = egress.length > 0 ? egress : endpoint;
  const there = located.filter(({ country }) => country === claimed).length;
  const refutedBy = measured.some((one) => isImpossible(claimed, one))
    ? "latency"
    : located.length > 0 && there === 0
      ? egress.length > 0
        ? "egress"
        : "databases"
      : undefined;
  if (refutedBy !== undefined) return { state: "refuted", confidence: confidences.refuted, refutedBy };
  const isDoubted = there < located.length || (egress.length === 0 && told !== undefined && told !== claimed);
  if (!isDoubted && measured.some((one) => isNear(claimed, one))) return { state: "latency", confidence: confidences.latency };
  const state = there > 0 && !isDoubted ? "database" : "claimed";
  return { state, confidence: confidences[state] };
}

/** Is that as much evidence as was asked for? Nothing is when the exit was refuted. */
export const suffices = (state: CountryState, wanted: EvidenceLevel): boolean =>
  state !== "refuted" && levels.indexOf(state) >= levels.indexOf(wanted);
