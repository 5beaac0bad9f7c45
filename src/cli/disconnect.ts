import { createApiClient } from "../api/client.ts";
import { socketPathOf } from "../api/socket-path.ts";
import type { Run } from "./context.ts";
import { facts } from "./format.ts";
import { networkOf } from "./hosting.ts";
import { sessionFacts } from "./texts.ts";

/** Ends the connection of the running node. */
export const disconnect: Run<"disconnect"> = async ({ settings, out, interrupts }) => {
  const api = createApiClient({ socket: socketPathOf(settings.dataDir) });
  const { token } = await networkOf(api);
  const { connection } = await api.call("status", {}, interrupts.signal);
  const end = settings.wait && connection ? api.call("sessionEnd", { id: connection.id }, interrupts.signal) : undefined;
  const now = await api.call("disconnect", {}, interrupts.signal);
  // a node that only its connection kept up may be gone before it has told of the end
  const { session } = (await end?.catch(() => undefined)) ?? now;
  out.object({ session });
  out.print(facts(sessionFacts(session, token, Date.now())));
};
