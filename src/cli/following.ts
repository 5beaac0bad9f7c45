import type { ApiClient } from "../api/client.ts";
import { formatAmount, formatBytes, formatDuration, type Unit } from "../lib/units.ts";
import type { FailoverStep, NodeEvent, NodeStatus, SessionView } from "../node/types.ts";
import type { Context } from "./context.ts";
import { printable, shortPeer } from "./format.ts";
import type { Output } from "./output.ts";
import { egressText, roughAmount } from "./texts.ts";

const redrawMs = 1000;

export type Ended = { session: SessionView | undefined; sessions?: SessionView[]; error?: unknown };

/** Shows the connection until it ends; Ctrl-C ends it. `error` is what ended it against our will, for example BUDGET_EXHAUSTED. */
export async function follow({ out, interrupts }: Context<"connect">, api: ApiClient, id: string, unit: Unit): Promise<Ended> {
  const beganMs = Date.now();
  const show = async () => {
    const { connection } = await api.call("status");
    if (connection && !interrupts.signal.aborted) out.live(liveLine(connection, unit, Date.now() - beganMs));
  };
  if (out.interactive) await show().catch(() => undefined);
  else out.progress("Connected. Ctrl-C disconnects.");
  const redraw = setInterval(() => {
    if (out.interactive) show().catch(() => undefined);
  }, redrawMs);
  const over = new AbortController();
  const telling = tellEvents(out, api, over.signal);
  try {
    return await interrupts.race(api.call("sessionEnd", { id }));
  } catch (error) {
    if (!interrupts.signal.aborted) return { session: await lastSession(api), error };
    out.endLive();
    out.progress("disconnecting");
    return await api.call("disconnect");
  } finally {
    clearInterval(redraw);
    over.abort();
    await telling;
    out.endLive();
  }
}

/** A node has one connection at a time, so its newest session as a consumer is that one's last. */
async function lastSession(api: ApiClient): Promise<SessionView | undefined> {
  const { sessions } = await api.call("sessions").catch(() => ({ sessions: [] }));
  return sessions.find(({ role }) => role === "consumer");
}

/** What becomes of the connection meanwhile: another exit, or one that is not where it says. */
async function tellEvents(out: Output, api: ApiClient, signal: AbortSignal): Promise<void> {
  try {
    for await (const { event } of api.stream("events", {}, signal)) {
      if (event.type === "egress") tellEgress(out, event);
      if (event.type !== "failover") continue;
      out.object({ type: "failover", ...event.step });
      const line = stepLine(event.step);
      if (line) out.progress(line.startsWith("✔") ? `${out.style("green", "✔")}${line.slice(1)}` : line);
    }
  } catch {
    // the connection's own end tells what is wrong
  }
}

export function tellEgress(out: Pick<Output, "object" | "warn" | "endLive">, event: Extract<NodeEvent, { type: "egress" }>): void {
  const { peer, country, egress } = event;
  out.object({ type: "egress", peer, country, egress });
  if (!egress.elsewhere) return;
  out.endLive();
  out.warn(`exit ${shortPeer(peer)} says it is in ${country}, and traffic comes out of ${egressText(egress)}`);
  out.warn(`  for another exit: Ctrl-C, and connect with --exclude ${peer}`);
}

/** One line for people; a standby is of interest to those who ask. */
export function stepLine(step: FailoverStep): string | undefined {
  if (step.what === "standby") return undefined;
  if (step.what === "looking") return `exit ${shortPeer(step.from)} is left: ${printable(step.reason)}; looking for another`;
  const after = `after ${formatDuration(step.tookMs)}`;
  if (step.what === "resumed") return `✔ exit ${shortPeer(step.peer)} is back ${after}: the session goes on`;
  if (step.peer === step.from) return `✔ exit ${shortPeer(step.peer)} is back ${after}: ${printable(step.reason)}`;
  return `✔ exit ${shortPeer(step.peer)} in ${step.country} took over ${after}: ${printable(step.reason)}`;
}

export function liveLine({ failover }: NonNullable<NodeStatus["connection"]>, unit: Unit, lastedMs: number): string {
  const { state, usedBytes, promised } = failover;
  const now = state === "looking" ? "Looking for an exit. Ctrl-C disconnects." : "Connected. Ctrl-C disconnects.";
  return `${now}   ⇅ ${formatBytes(usedBytes)}   spent ${roughAmount(promised, unit)}   ${formatDuration(lastedMs)}`;
}

/** Of a connection that several exits have carried. */
export function allFacts(sessions: SessionView[], unit: Unit): Record<string, string> {
  if (sessions.length < 2) return {};
  const sum = (of: (session: SessionView) => bigint) => sessions.reduce((total, session) => total + of(session), 0n);
  return {
    "in all": `${sessions.length} sessions, ${formatBytes(sum(({ usedBytes }) => usedBytes))}, ${formatAmount(
      sum(({ promised }) => promised),
      unit,
    )} promised`,
  };
}
