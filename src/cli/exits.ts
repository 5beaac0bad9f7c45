import type { ApiClient } from "../api/client.ts";
import type { Input } from "../api/routes.ts";
import type { Unit } from "../lib/units.ts";
import type { ExitQuery, ExitView } from "../node/types.ts";
import type { Settings } from "../options.ts";
import type { Context, Run } from "./context.ts";
import { type Column, plainAmount, shortPeer, table } from "./format.ts";
import { countryOptions, networkOf, withNode } from "./hosting.ts";
import { priceText } from "./texts.ts";

/** a node that has run for so long knows what there is */
const settledMs = 30_000;
/** rows that are shown while more come in */
const shownMeanwhile = 10;

/** Those that this node knows; one that is new, or knows of none, looks for them first. Without a running node one is started for that. */
export const exits: Run<"exits"> = async (context) => {
  const { settings, out, interrupts } = context;
  const show = async (api: ApiClient) => {
    const { token } = await networkOf(api);
    const query = queryOf(settings, token);
    if (settings.follow) return await follow(context, api, query, token);
    const { uptimeMs, exitsKnown } = await api.call("status", {}, interrupts.signal);
    if (exitsKnown === 0 || uptimeMs < settledMs) await look(context, api, query, token);
    const { limit } = settings;
    const sort = settings.sort as NonNullable<ExitQuery["sort"]>;
    const found = await api.call("exits", { ...query, sort, limit }, interrupts.signal);
    out.object(found);
    out.print(found.exits.length > 0 ? table(found.exits, columns(token)) : "no exits known");
    if (found.exits.length === 0) out.progress("see 'mystnode doctor' when that stays so");
    else out.progress("why an exit scores as it does: 'mystnode explain EXIT'");
  };
  const { bootstrap, discovery, mdns } = settings;
  const starting = { ...countryOptions(settings), bootstrap, mdns: mdns === "on", ...(discovery.length > 0 && { discovery }) };
  await withNode(context, show, { join: true, starting });
};

type Query = Omit<Input<"look">, "waitMs" | "follow">;

const queryOf = (settings: Settings<"exits">, unit: Unit): Query => {
  const { country, city, service, networkKind, openPort, maxPriceGib, maxPriceHour, minScore, evidence } = settings;
  return {
    ...(country !== undefined && { country }),
    ...(city !== undefined && { city }),
    ...(service !== undefined && { service }),
    ...(networkKind !== undefined && { networkKind }),
    ...(openPort.length > 0 && { openPorts: openPort }),
    ...(maxPriceGib !== undefined && { maxPerGiB: maxPriceGib(unit) }),
    ...(maxPriceHour !== undefined && { maxPerHour: maxPriceHour(unit) }),
    ...(minScore !== undefined && { minScore }),
    ...(evidence !== undefined && { evidence }),
  };
};

/** Shows what comes as it comes, on a terminal; what is found is known to the node afterwards. */
async function look({ out, interrupts }: Context<"exits">, api: ApiClient, query: Query, unit: Unit): Promise<void> {
  const found = new Map<string, ExitView>();
  out.live("looking for exits");
  for await (const change of api.stream("look", query, interrupts.signal)) {
    if (change.type !== "exit") continue;
    found.set(`${change.exit.peer} ${change.exit.service}`, change.exit);
    const cheapest = [...found.values()].sort((a, b) => Number(a.perGiB + a.perHour - (b.perGiB + b.perHour)));
    const more = found.size > shownMeanwhile ? `, the cheapest ${shownMeanwhile} of them` : "";
    out.live(`${table(cheapest.slice(0, shownMeanwhile), columns(unit))}\nlooking for more: ${found.size} so far${more}`);
  }
  out.dropLive();
}

/** Tells each exit, each change and each end of one, until the command is. */
async function follow({ out, interrupts }: Context<"exits">, api: ApiClient, query: Query, unit: Unit): Promise<void> {
  const names = new Set<string>();
  for await (const change of api.stream("look", { ...query, follow: true }, interrupts.signal)) {
    out.object(change);
    if (change.type === "gone") {
      names.delete(`${change.peer} ${change.service}`);
      out.print(`gone     ${shortPeer(change.peer)}  ${change.service}`);
      continue;
    }
    const { exit } = change;
    const name = `${exit.peer} ${exit.service}`;
    const place = [exit.city, exit.country].filter(Boolean).join(", ");
    const room = `${exit.sessions}/${exit.maxSessions}`;
    out.print(
      `${names.has(name) ? "changed" : "new    "}  ${shortPeer(exit.peer)}  ${exit.service}  ${priceText(exit, unit)}  ${room}  ${place}`,
    );
    names.add(name);
  }
}

/** who says that it is in that country */
const evidenceTexts = { claimed: "word", database: "db", latency: "rtt", refuted: "no" };

export const columns = (unit: Unit): Column<ExitView>[] => [
  { title: "COUNTRY", cell: (exit) => [exit.country, exit.city].filter(Boolean).join(" "), flexible: true },
  { title: "BY", cell: ({ evidence = "claimed" }) => evidenceTexts[evidence] },
  { title: "SERVICE", cell: (exit) => exit.service },
  { title: `${unit.symbol}/GIB`, cell: (exit) => plainAmount(exit.perGiB, unit), right: true },
  { title: "/HOUR", cell: (exit) => plainAmount(exit.perHour, unit), right: true },
  { title: "TAKEN", cell: (exit) => `${exit.sessions}/${exit.maxSessions}`, right: true },
  { title: "SCORE", cell: (exit) => (exit.score ?? 0).toFixed(2), right: true },
  { title: "RTT", cell: (exit) => (exit.rttMs === undefined ? "-" : `${Math.round(exit.rttMs)} ms`), right: true },
  { title: "EXIT", cell: (exit) => shortPeer(exit.peer) },
];
