import { formatBytes, formatDuration, type Unit } from "../lib/units.ts";
import type { SessionView } from "../node/types.ts";
import type { Run } from "./context.ts";
import { type Column, facts, plainAmount, shortPeer, table } from "./format.ts";
import { networkOf, withNode } from "./hosting.ts";
import { lastedMs, sessionFacts, timeText } from "./texts.ts";

/** Sessions of this node, newest first, or one of them in full. */
export const sessions: Run<"sessions"> = async (context) => {
  const { settings, args, out, interrupts } = context;
  await withNode(context, async (api) => {
    const { token } = await networkOf(api);
    const nowMs = Date.now();
    const [wanted] = args;
    const all = (await api.call("sessions", {}, interrupts.signal)).sessions;
    if (wanted !== undefined) {
      // the list shows the beginning of an id only: that is enough to name it by
      const id = all.filter((one) => one.id.startsWith(wanted)).length === 1 ? all.find((one) => one.id.startsWith(wanted))?.id : wanted;
      const { session } = await api.call("session", { id: id ?? wanted }, interrupts.signal);
      out.object({ session });
      return out.print(facts(sessionFacts(session, token, nowMs)));
    }
    const { role, since } = settings;
    const found = all
      .filter((one) => (role === undefined || one.role === role) && (since === undefined || one.startedMs >= nowMs - since))
      .sort((a, b) => b.startedMs - a.startedMs);
    out.object({ sessions: found });
    out.print(found.length > 0 ? `${table(found, columns(token, nowMs))}\npromised in ${token.symbol}` : "no sessions");
  });
};

export const columns = (unit: Unit, nowMs: number): Column<SessionView>[] => [
  { title: "ID", cell: (session) => session.id.slice(0, 6) },
  { title: "", cell: ({ role }) => (role === "consumer" ? "pays" : "earns") },
  { title: "STATE", cell: (session) => session.state },
  { title: "STARTED", cell: (session) => timeText(session.startedMs).slice(5) },
  { title: "LASTED", cell: (session) => formatDuration(lastedMs(session, nowMs)), right: true },
  { title: "CARRIED", cell: (session) => formatBytes(session.usedBytes), right: true },
  { title: "PROMISED", cell: (session) => plainAmount(session.promised, unit, 6), right: true },
  { title: "PEER", cell: (session) => shortPeer(session.peer) },
];
