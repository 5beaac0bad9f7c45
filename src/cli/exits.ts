import { formatAmount } from "../lib/units.ts";
import type { ExitView } from "../node/types.ts";
import type { Run } from "./context.ts";
import { type Column, shortPeer, table } from "./format.ts";
import { networkOf, withNode } from "./hosting.ts";

/** Exits that this node knows of, without asking anybody. */
export const exits: Run<"exits"> = async (context) => {
  const { settings, out, interrupts } = context;
  await withNode(context, async (api, brief) => {
    const { token } = await networkOf(api);
    const { country, city, maxPriceGib, sort, limit } = settings;
    const query = {
      sort,
      limit,
      ...(country !== undefined && { country }),
      ...(city !== undefined && { city }),
      ...(maxPriceGib !== undefined && { maxPerGiB: maxPriceGib(token) }),
    };
    const found = await api.call("exits", query, interrupts.signal);
    if (brief) out.progress("no node runs here: these are the offers it knew last, as far as they are still good");
    out.object(found);
    if (found.exits.length > 0)
      return out.print(
        table(
          found.exits,
          columns((amount) => formatAmount(amount, token)),
        ),
      );
    out.print("no exits known");
    out.progress(brief ? "start a node to find some: mystnode connect --dry-run" : "they come within seconds of a start: try again");
  });
};

const columns = (amount: (value: bigint) => string): Column<ExitView>[] => [
  { title: "COUNTRY", cell: (exit) => exit.country },
  { title: "CITY", cell: (exit) => exit.city ?? "-", flexible: true },
  { title: "PER GIB", cell: (exit) => amount(exit.perGiB), right: true },
  { title: "PER HOUR", cell: (exit) => amount(exit.perHour), right: true },
  { title: "SESSIONS", cell: (exit) => `${exit.sessions}/${exit.maxSessions}`, right: true },
  { title: "BY", cell: (exit) => exit.sources.join(",") },
  { title: "EXIT", cell: (exit) => shortPeer(exit.peer) },
];
