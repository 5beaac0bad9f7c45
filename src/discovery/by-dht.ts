import { shuffled } from "../lib/sample.ts";
import type { Network } from "../network/network.ts";
import { type AskingDeps, askExit, sideBySide } from "./asking.ts";
import type { OfferQuery } from "./discovery.ts";
import { lookupKeys } from "./protocol.ts";

type Deps = AskingDeps & { network: Pick<Network, "peerId" | "findProviders"> };

const maxFetches = 256;
const atOnce = 16;
/** Each lookup dials some ten peers, and the first often tells of enough: who has an exit by then spares all the others. */
const staggerMs = 200;

/** Looks up who says to sell what is asked for, and takes each one's offer from itself. Ends with the lookups. Never throws. */
export async function lookInDht(deps: Deps, query: OfferQuery, signal: AbortSignal): Promise<void> {
  const { network, clock } = deps;
  const seen = new Set([network.peerId]);
  const fetches: Promise<void>[] = [];
  const ask = askExit(deps, "dht", signal);
  const inTurn = sideBySide(atOnce);
  const look = async (key: Uint8Array) => {
    for await (const provider of network.findProviders(key, signal)) {
      if (seen.has(provider.peer) || seen.size > maxFetches) continue;
      seen.add(provider.peer);
      fetches.push(inTurn(() => ask(provider)));
    }
  };
  const looks: Promise<void>[] = [];
  for (const key of shuffled(lookupKeys(query, clock.nowMs()))) {
    if (looks.length > 0) await Promise.race([Promise.all(looks), clock.sleep(staggerMs, signal).catch(() => undefined)]);
    if (signal.aborted) break;
    looks.push(look(key));
  }
  await Promise.all(looks);
  await Promise.all(fetches);
}
