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
  let { session } = await api.call("disconnect", {}, interrupts.signal);
  if (settings.wait) ({ session } = await api.call("sessionEnd", { id: session.id }, interrupts.signal));
  out.object({ session });
  out.print(facts(sessionFacts(session, token, Date.now())));
};
