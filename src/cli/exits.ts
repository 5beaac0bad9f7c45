import type { ApiClient } from "../api/client.ts";
import { formatAmount } from "../lib/units.ts";
import type { ExitQuery, ExitView } from "../node/types.ts";
import type { Run } from "./context.ts";
import { type Column, shortPeer, table } from "./format.ts";
import { networkOf, withNode } from "./hosting.ts";

/** how long to wait for a first one */
const waitMs = 5_000;

/** Exits that this node knows of; without a running node, those that answer within a moment. */
export const exits: Run<"exits"> = async (context) => {
  const { settings, out, interrupts } = context;
  const show = async (api: ApiClient) => {
    const { token } = await networkOf(api);
    const { country, city, maxPriceGib, minScore, sort, limit } = settings;
    const query = {
      sort: sort as NonNullable<ExitQuery["sort"]>,
      limit,
      waitMs,
      ...(country !== undefined && { country }),
      ...(city !== undefined && { city }),
      ...(minScore !== undefined && { minScore }),
      ...(maxPriceGib !== undefined && { maxPerGiB: maxPriceGib(token) }),
    };
    const found = await api.call("exits", query, interrupts.signal);
    out.object(found);
    const amount = (value: bigint) => formatAmount(value, token);
    out.print(found.exits.length > 0 ? table(found.exits, columns(amount)) : "no exits known");
    if (found.exits.length === 0) out.progress("see 'mystnode doctor' when that stays so");
    else out.progress("why an exit scores as it does: 'mystnode explain EXIT'");
  };
  await withNode(context, show, { join: true });
};

const columns = (amount: (value: bigint) => string): Column<ExitView>[] => [
  { title: "COUNTRY", cell: (exit) => exit.country },
  { title: "CITY", cell: (exit) => exit.city ?? "-", flexible: true },
  { title: "PER GIB", cell: (exit) => amount(exit.perGiB), right: true },
  { title: "PER HOUR", cell: (exit) => amount(exit.perHour), right: true },
  { title: "SESSIONS", cell: (exit) => `${exit.sessions}/${exit.maxSessions}`, right: true },
  { title: "SCORE", cell: (exit) => (exit.score ?? 0).toFixed(2), right: true },
  { title: "RTT", cell: (exit) => (exit.rttMs === undefined ? "-" : `${Math.round(exit.rttMs)} ms`), right: true },
  { title: "EXIT", cell: (exit) => shortPeer(exit.peer) },
];
