import { isMystError } from "../lib/errors.ts";
import { connectedApi } from "./connected.ts";
import type { Run } from "./context.ts";
import { facts } from "./format.ts";
import { networkOf } from "./hosting.ts";
import type { Output } from "./output.ts";
import { mayOpenTunnels } from "./privileges.ts";
import { sessionFacts } from "./texts.ts";

/** Lifts the kill switch that a connection has left whose node has ended. */
async function lifted(): Promise<boolean> {
  if (!mayOpenTunnels()) return false;
  const { withHelper } = await import("./tunnels.ts");
  return withHelper(async (helper) => {
    if (!(await helper.probe()).blocked) return false;
    await helper.cleanup();
    return true;
  });
}

function tellReleased(out: Output): void {
  out.object({ released: true });
  out.print("the kill switch is lifted: traffic leaves this machine as before");
}

/** Ends the connection of the running node, or what is left of one. */
export const disconnect: Run<"disconnect"> = async (context) => {
  const { settings, out, interrupts } = context;
  const api = await connectedApi(settings.dataDir, interrupts.signal).catch(async (error) => {
    if (!isMystError(error, "NODE_NOT_RUNNING") || !(await lifted())) throw error;
    return undefined;
  });
  if (!api) return tellReleased(out);
  const { token } = await networkOf(api);
  const { connection, tunnel } = await api.call("status", {}, interrupts.signal);
  if (!connection && tunnel?.intent === "secured" && (await api.call("unblock", {}, interrupts.signal)).released) return tellReleased(out);
  const end = settings.wait && connection ? api.call("sessionEnd", { id: connection.id }, interrupts.signal) : undefined;
  const now = await api.call("disconnect", {}, interrupts.signal);
  // a node that only its connection kept up may be gone before it has told of the end
  const { session } = (await end?.catch(() => undefined)) ?? now;
  out.object({ session });
  out.print(facts(sessionFacts(session, token, Date.now())));
};
