import { suffices } from "../country/evidence.ts";
import type { Discovery } from "../discovery/discovery.ts";
import { deadline } from "../lib/lifecycle.ts";
import type { Judging } from "./judging.ts";
import type { EvidenceLevel, ExitQuery, ExitView } from "./types.ts";
import { exitViews } from "./views.ts";

type Online = { discovery: Pick<Discovery, "search" | "offers">; judging: Pick<Judging, "shown"> };

/** Exits that are known, with what is thought of them; none before the node has joined the network. */
export async function listExits(online: Online | undefined, query: ExitQuery, signal: AbortSignal): Promise<ExitView[]> {
  if (!online) return [];
  const until = deadline(query.waitMs ?? 0, signal);
  const known = query.waitMs ? await online.discovery.search(query, until) : online.discovery.offers(query);
  const exits = known.flatMap(exitViews).filter((exit) => query.service === undefined || exit.service === query.service);
  const shown = await online.judging.shown(exits);
  const fit = shown.filter((exit) => hasEnough(exit, query));
  return sorted(fit, query.sort).slice(0, query.limit);
}

/** Has this exit the score and the evidence that were asked for? */
export const hasEnough = (
  { score = 0, evidence = "claimed" }: ExitView,
  least: { minScore?: number | undefined; evidence?: EvidenceLevel | undefined },
): boolean => score >= (least.minScore ?? 0) && (least.evidence === undefined || suffices(evidence, least.evidence));

/** What is alike, and what is not known, stays in the order in which it came: by price. */
export function sorted(exits: ExitView[], by: ExitQuery["sort"] = "price"): ExitView[] {
  if (by === "score") return exits.toSorted((a, b) => (b.score ?? 0) - (a.score ?? 0));
  if (by === "latency") return exits.toSorted((a, b) => (a.rttMs ?? Number.MAX_VALUE) - (b.rttMs ?? Number.MAX_VALUE));
  return exits;
}
