import { choose, type View, weigh } from "../../../../src/discovery/choice.ts";
import type { Offer } from "../../../../src/discovery/offer.ts";
import { rank } from "../../../../src/discovery/rank.ts";
import { draws } from "../../../support/draws.ts";

type Exit = { peer: string; score: number; place: string; stake?: number; isNew?: boolean };
type Known = { offer: Offer };

const offerOf = (peer: string, sessions = 0): Known => ({
  offer: {
    ...{ peer, address: "0x", addresses: [], country: "US", networkKind: "unknown", policy: "", closedPorts: [], seq: 1n, expiresMs: 0 },
    ...{ services: [{ kind: "proxy", perGiB: 100n, perHour: 10n }], maxSessions: 50, sessions },
  },
});
const viewOf = (exits: readonly Exit[]): View => {
  const known = new Map(exits.map((exit) => [exit.peer, exit]));
  return {
    score: (peer) => known.get(peer)?.score ?? 0,
    places: (peer) => [known.get(peer)?.place ?? ""],
    isNew: (peer) => known.get(peer)?.isNew ?? false,
    stake: (peer) => known.get(peer)?.stake ?? 0,
  };
};
const query = { country: "US", service: "proxy" };
const counting = (count: number) => Array.from({ length: count }, (_, index) => index);
const honest = (count: number): Exit[] =>
  counting(count).map((index) => ({ peer: `honest-${index}`, score: 0.8, place: `honest-${index}`, stake: 1 }));

/** So many choices by people who all see the same: how often an exit for which `mine` holds came first. */
function share(exits: readonly Exit[], view: View, choices: number, seed: number, mine: (peer: string) => boolean): number {
  const random = draws(seed);
  const weighed = weigh(
    exits.map(({ peer }) => offerOf(peer)),
    query,
    view,
  );
  let count = 0;
  for (let choice = 0; choice < choices; choice += 1) if (mine(choose(weighed, view, random)[0]?.offer.peer ?? "")) count += 1;
  return count / choices;
}

const isSybil = (peer: string) => peer.startsWith("sybil");
const choices = 1_000;

/**
 * Attackers own many exits in one /24: all as good as honest ones, each a little worse than the one before, or each just under half as
 * good. What they get of all sessions beside 20 honest exits, at most of these, where one exit would get 1/21.
 */
export function colocated(sybils: number, seed: number): { share: number; control: number } {
  const alike = counting(sybils).map((index): Exit => ({ peer: `sybil-${index}`, score: 0.8, place: "one", stake: 1 }));
  const falling = alike.map((exit, index) => ({ ...exit, score: 0.8 * 0.998 ** index }));
  const halving = alike.map((exit, index) => ({ ...exit, score: 0.8 * 0.49 ** index }));
  const shares = [alike, falling, halving].map((theirs) => {
    const exits = [...honest(20), ...theirs];
    return share(exits, viewOf(exits), choices, seed, isSybil);
  });
  const all = [...honest(20), ...alike];
  const { places: _, ...undefended } = viewOf(all);
  return { share: Math.max(...shares), control: share(all, undefended, choices, seed, isSybil) };
}

/**
 * Attackers say that their many exits, of which nothing good is known, are in the /24 of an honest one. What it keeps of the sessions that it
 * would have had. Control: were each in a /24 counted for 1/k, whatever its score, it would keep next to nothing.
 */
export function crowdedOut(sybils: number, seed: number): { kept: number; control: number } {
  const mine = (peer: string) => peer === "honest-0";
  const theirs = counting(sybils).map((index): Exit => ({ peer: `sybil-${index}`, score: 0.2, place: "honest-0", stake: 1 }));
  const before = honest(3);
  const usual = share(before, viewOf(before), choices, seed, mine);
  const after = [...before, ...theirs];
  const flat = after.map((exit) => (exit.place === "honest-0" ? { ...exit, score: exit.score / (sybils + 1), place: exit.peer } : exit));
  return {
    kept: share(after, viewOf(after), choices, seed, mine) / usual,
    control: share(flat, viewOf(flat), choices, seed, mine) / usual,
  };
}

/**
 * An honest exit that has just begun, with the least stake there may be, beside 20 that are known and many of attackers' that are new as
 * well: without stake, and with stake in one /24. Its part of the sessions. Control: nobody explores.
 */
export function newcomer(sybils: number, seed: number): { share: number; control: number } {
  const mine = (peer: string) => peer === "newcomer";
  const known = honest(20);
  const fresh: Exit = { peer: "newcomer", score: 0, place: "newcomer", stake: 1, isNew: true };
  const without = counting(sybils).map(
    (index): Exit => ({ peer: `sybil-${index}`, score: 0, place: `spread-${index}`, stake: 0, isNew: true }),
  );
  const together = counting(sybils).map((index): Exit => ({ peer: `staked-${index}`, score: 0, place: "one", stake: 1, isNew: true }));
  const exits = [...known, fresh, ...without, ...together];
  const { isNew: _, ...undefended } = viewOf(exits);
  return { share: share(exits, viewOf(exits), choices, seed, mine), control: share(exits, undefended, choices, seed, mine) };
}

/** sessions last so long, in arrivals of others */
const lasting = 60;

/** 300 sessions of 300 people with three exits that are alike, which say in their offers how many they have. By how much the least or most used misses a third. */
export function balance(seed: number): { off: number; control: number } {
  const exits = honest(3);
  const view = viewOf(exits);
  const spread = (first: (offers: Known[]) => string): number => {
    const open: string[] = [];
    const counts = new Map(exits.map(({ peer }) => [peer, 0]));
    for (let session = 0; session < 300; session += 1) {
      const chosen = first(exits.map(({ peer }) => offerOf(peer, open.filter((one) => one === peer).length)));
      counts.set(chosen, (counts.get(chosen) ?? 0) + 1);
      open.push(chosen);
      if (open.length > lasting) open.shift();
    }
    return Math.max(...[...counts.values()].map((count) => Math.abs(count - 100) / 100));
  };
  const random = draws(seed);
  return {
    off: spread((offers) => choose(weigh(offers, query, view), view, random)[0]?.offer.peer ?? ""),
    // the first of the list by price, whose order among those alike never changes
    control: spread(
      (offers) =>
        rank(
          offers.map(({ offer }) => ({ offer: { ...offer, sessions: 0 } })),
          query,
        )[0]?.offer.peer ?? "",
    ),
  };
}
