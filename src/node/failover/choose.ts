import { siteOf } from "../../network/diversity.ts";
import type { ExitView } from "../types.ts";

type Place = Pick<ExitView, "peer" | "address" | "owner" | "addresses" | "asn" | "country">;

/** Who was not to be used a moment ago, and until when; for ever, where it cheated. */
export type Avoided = ReadonlyMap<string, number>;

const isAvoided = (avoided: Avoided, peer: string, nowMs: number): boolean => (avoided.get(peer) ?? 0) > nowMs;

const sites = ({ addresses }: Place): string[] => addresses.flatMap((address) => siteOf(address) ?? []);

/** Whether two exits stand in one network, by their addresses, or by what payers have seen of it: what takes the one away may take the other. */
export const isNear = (a: Place, b: Place): boolean => {
  if (a.asn !== undefined && a.asn === b.asn) return true;
  const of = new Set(sites(a));
  return sites(b).some((site) => of.has(site));
};

const ownerOf = ({ owner, address }: Place): string => owner ?? address;

/**
 * Exits that may carry the tunnel to `last`, in the order given, whom was not to be used a moment ago at the end: of another owner and in another network,
 * or not at all, since one who has both ends knows what two hops are to keep apart.
 */
export function firstsFor<Exit extends Place>(exits: Exit[], last: Place, avoided: Avoided, nowMs: number): Exit[] {
  const late = (exit: Exit) => Number(isAvoided(avoided, exit.peer, nowMs));
  return exits
    .filter((exit) => exit.peer !== last.peer && !isNear(exit, last) && ownerOf(exit) !== ownerOf(last))
    .filter(({ peer }) => avoided.get(peer) !== Number.POSITIVE_INFINITY)
    .sort((a, b) => late(a) - late(b));
}

/**
 * Exits that may stand by for `current`, best first: of its country before others, there those in other networks before those in its own,
 * and those of other owners before its owner's, else in the order given; who was not to be used a moment ago comes last.
 */
export function standbys<Exit extends Place>(exits: Exit[], current: Place, avoided: Avoided, nowMs: number): Exit[] {
  const rank = (exit: Exit) =>
    (isAvoided(avoided, exit.peer, nowMs) ? 8 : 0) +
    (exit.country === current.country ? 0 : 4) +
    (isNear(exit, current) ? 2 : 0) +
    (ownerOf(exit) === ownerOf(current) ? 1 : 0);
  return exits
    .filter(({ peer }) => peer !== current.peer && avoided.get(peer) !== Number.POSITIVE_INFINITY)
    .sort((a, b) => rank(a) - rank(b));
}

/**
 * Whom to try, in this order, now that `current` is left: the standby, the others, those that failed a moment ago, and itself; or itself
 * first. Never whom nothing helps.
 */
export function successors<Exit extends Place>(exits: Exit[], { current, standby, avoided, nowMs, first, mode }: Looking<Exit>): Exit[] {
  const same = exits.find(({ peer }) => peer === current.peer) ?? current;
  const itself = avoided.get(current.peer) === Number.POSITIVE_INFINITY ? [] : [same];
  if (mode === "same") return itself;
  const ready = standby && standby.peer !== current.peer ? [standby] : [];
  const others = [...ready, ...standbys(exits, current, avoided, nowMs).filter(({ peer }) => peer !== standby?.peer)];
  return first === "same" ? [...itself, ...others] : [...others, ...itself];
}

export type Looking<Exit> = {
  current: Exit;
  standby: Exit | undefined;
  avoided: Avoided;
  nowMs: number;
  first: "other" | "same";
  mode: "any" | "same";
};
