import { asMystError } from "../lib/errors.ts";
import { deadline } from "../lib/lifecycle.ts";
import type { Settings } from "../options.ts";
import type { Found } from "./doctor.ts";
import { runningNode } from "./hosting.ts";
import { mappingText } from "./texts.ts";

const askMs = 8_000;
const byHand =
  "to serve from here turn on UPnP in the router, or forward TCP 4480 there and, for a tunnel, UDP 51820, which --endpoint then names; else peers come through relays";

/** Whether the router of this network has an exit reached that has no public address: as the running one finds, else as it says when asked. */
export async function checkRouter({ dataDir, listen }: Pick<Settings<"doctor">, "dataDir" | "listen">): Promise<Found> {
  const running = await runningNode(dataDir).catch(() => undefined);
  const mapping = (await running?.call("status"))?.serving?.mapping;
  if (mapping) {
    const found = mappingText(mapping);
    return mapping.state === "announced" ? { state: "ok", found } : { state: "note", found, remedy: byHand };
  }
  // nobody outside is to reach it
  if (listen.every((address) => /^\/(ip4\/127\.|ip6\/::1\/|p2p-circuit$)/.test(address))) return { state: "ok", found: "not asked" };
  const { viewRouter } = await import("../node/mapping.ts");
  try {
    const router = await viewRouter(deadline(askMs));
    if (!router) return { state: "ok", found: "none to be asked" };
    const found = `${router.router} maps ports by ${router.by}, its address is ${router.outside}`;
    if (router.isPublic) return { state: "ok", found };
    return {
      state: "note",
      found: `${found}, which is not public`,
      remedy: "it is behind another NAT: peers come through relays, or the first router forwards, too",
    };
  } catch (error) {
    return { state: "note", found: asMystError(error).message, remedy: byHand };
  }
}
