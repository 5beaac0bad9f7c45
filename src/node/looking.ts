import type { Discovery, KnownOffer } from "../discovery/discovery.ts";
import type { Clock } from "../lib/clock.ts";
import { deadline } from "../lib/lifecycle.ts";
import type { Judging } from "./judging.ts";
import { hasEnough } from "./listing.ts";
import type { ExitChange, ExitView, LookOptions } from "./types.ts";
import { exitViews } from "./views.ts";

const usualWaitMs = 15_000;
const followMs = 1_000;

/** See `Node.look`. An exit is told again only when something that it says of itself is another, which its being announced anew is not. */
export async function* lookForExits(
  { discovery, judging }: { discovery: Pick<Discovery, "sweep" | "offers">; judging: Pick<Judging, "shown"> },
  clock: Pick<Clock, "sleep">,
  { waitMs = usualWaitMs, follow = false, minScore, evidence, signal, ...query }: LookOptions,
  stop: AbortSignal,
): AsyncGenerator<ExitChange> {
  const until = signal ? AbortSignal.any([signal, stop]) : stop;
  const told = new Map<string, { exit: ExitView; text: string }>();
  const viewsOf = async (known: KnownOffer[]) => {
    const exits = known.flatMap(exitViews).filter(({ service }) => query.service === undefined || service === query.service);
    return (await judging.shown(exits)).filter((exit) => hasEnough(exit, { minScore, evidence }));
  };
  const news = (exit: ExitView): boolean => {
    const { expiresMs: _, sources: __, score: ___, rttMs: ____, mbps: _____, evidence: ______, ...lasting } = exit;
    const text = JSON.stringify(lasting, (_______, value) => (typeof value === "bigint" ? String(value) : value));
    if (told.get(keyOf(exit))?.text === text) return false;
    told.set(keyOf(exit), { exit, text });
    return true;
  };
  for await (const known of discovery.sweep(query, deadline(waitMs, until)))
    for (const exit of await viewsOf([known])) if (news(exit)) yield { type: "exit", exit };
  while (follow && !until.aborted) {
    const now = await viewsOf(discovery.offers(query));
    for (const exit of now) if (news(exit)) yield { type: "exit", exit };
    const there = new Set(now.map(keyOf));
    for (const [key, { exit }] of told)
      if (!there.has(key)) {
        told.delete(key);
        yield { type: "gone", peer: exit.peer, service: exit.service };
      }
    await clock.sleep(followMs, until).catch(() => undefined);
  }
}

const keyOf = ({ peer, service }: ExitView): string => `${peer} ${service}`;
