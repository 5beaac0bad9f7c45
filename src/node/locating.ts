import type { Databases } from "../country/databases.ts";
import { type CountryFacts, type Judgement, judgeCountry, type Measured } from "../country/evidence.ts";
import { hostOf, isPublic, isRelayed } from "../network/diversity.ts";
import type { Network, PeerSummary } from "../network/network.ts";

export type LocatingDeps = {
  network: Pick<Network, "peers">;
  databases: Databases;
  /** the country that this machine is in, where that is known */
  here(): string | undefined;
};

export type Place = CountryFacts & Judgement;

/** Where exits are, by what this node can tell. */
export type Locating = {
  of(exit: { peer: string; country: string; addresses: string[] }): Place;
};

export function createLocating({ network, databases, here }: LocatingDeps): Locating {
  return {
    of: ({ peer, country, addresses }) => {
      const connected = network.peers().find((one) => one.peer === peer);
      const facts = {
        claimed: country,
        endpoint: endpointsOf(addresses, connected).flatMap(databases.locate),
        egress: [],
        measured: measuredHere(connected, here()),
      };
      return { ...facts, ...judgeCountry(facts) };
    },
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
