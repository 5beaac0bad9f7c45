import type { Databases } from "../country/databases.ts";
import type { Egress, SeenEgress } from "../country/egress.ts";
import { type CountryFacts, type Judgement, judgeCountry, type Measured } from "../country/evidence.ts";
import { hostOf, isPublic, isRelayed } from "../network/diversity.ts";
import type { Network, PeerSummary } from "../network/network.ts";
import type { EgressView } from "./types.ts";

export type LocatingDeps = {
  network: Pick<Network, "peers">;
  databases: Databases;
  /** where traffic came out in sessions of this node */
  seen: Pick<SeenEgress, "of">;
  /** the country that this machine is in, where that is known */
  here(): string | undefined;
};

export type Place = CountryFacts & Judgement & { seen?: EgressView };

/** Where exits are, by what this node can tell. */
export type Locating = {
  /** `told`: where others saw its traffic come out */
  of(exit: { peer: string; country: string; addresses: string[] }, told: string | undefined): Place;
};

export function createLocating({ network, databases, seen, here }: LocatingDeps): Locating {
  return {
    of: ({ peer, country, addresses }, told) => {
      const egress = seen.of(peer);
      const connected = network.peers().find((one) => one.peer === peer);
      const facts = {
        claimed: country,
        endpoint: endpointsOf(addresses, connected).flatMap(databases.locate),
        egress: egress ? databases.locate(egress.address) : [],
        told,
        measured: measuredHere(connected, here()),
      };
      return { ...facts, ...judgeCountry(facts), ...(egress && { seen: egressView(egress, country, databases) }) };
    },
  };
}

/** With what databases say of it; `elsewhere`: it is not in the country that the exit claims. */
export function egressView(egress: Egress, claimed: string, databases: Databases): EgressView {
  const located = databases.locate(egress.address);
  const countries = new Set(located.map(({ country }) => country));
  const [country] = countries;
  const asn = databases.asnOf(egress.address);
  return {
    ...egress,
    ...(countries.size === 1 && country !== undefined && { country }),
    ...(asn !== undefined && { asn }),
    elsewhere: judgeCountry({ claimed, endpoint: [], egress: located, measured: [] }).state === "refuted",
  };
}

const ipsOf = (addresses: string[]): string[] => [
  ...new Set(
    addresses
      .filter((address) => isPublic(address) && !isRelayed(address))
      .map(hostOf)
      .filter((ip) => ip !== undefined),
  ),
];

/** The address at which the exit was really reached; as long as it was not, all those at which it says it is. */
function endpointsOf(offered: string[], connected: PeerSummary | undefined): string[] {
  const proven = connected?.direction === "outbound" ? ipsOf(connected.addresses) : [];
  return proven.length > 0 ? proven : ipsOf(offered);
}

/** What is on this machine or on its own network says nothing of countries. Over a relay it takes longer, never less. */
function measuredHere(connected: PeerSummary | undefined, country: string | undefined): Measured[] {
  if (country === undefined || connected?.rttMs === undefined || !connected.addresses.every(isPublic)) return [];
  return [{ country, rttMs: connected.rttMs }];
}
