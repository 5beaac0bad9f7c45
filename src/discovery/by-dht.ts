import type { Clock } from "../lib/clock.ts";
import { deadline } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import type { Network } from "../network/network.ts";
import type { OfferQuery } from "./discovery.ts";
import type { Intake } from "./intake.ts";
import { maxOfferBytes, readOffer } from "./offer.ts";
import { lookupKeys, offerProtocol } from "./protocol.ts";

type Deps = {
  network: Pick<Network, "peerId" | "findProviders" | "connect" | "ask">;
  clock: Pick<Clock, "nowMs">;
  log: Logger;
  intake: Intake;
};

/** A provider that is gone costs no more than this, beside the others. */
const fetchMs = 5_000;
const maxFetches = 64;

/** Looks up who says to sell what is asked for, and takes each one's offer from itself. Ends with the lookups. Never throws. */
export async function lookInDht({ network, clock, log, intake }: Deps, query: OfferQuery, signal: AbortSignal): Promise<void> {
  const seen = new Set([network.peerId]);
  const fetches: Promise<void>[] = [];
  const fetch = async (peer: string, addresses: string[]) => {
    try {
      const limit = deadline(fetchMs, signal);
      await network.connect(peer, addresses, limit);
      const bytes = await network.ask(peer, offerProtocol, new Uint8Array(), limit, { maxAnswer: maxOfferBytes });
      if (readOffer(bytes).offer.peer === peer) intake.takeBytes(bytes, "dht");
    } catch (error) {
      log.debug("no offer from a provider", { peer, error: (error as Error).message });
    }
  };
  const look = async (key: Uint8Array) => {
    for await (const { peer, addresses } of network.findProviders(key, signal)) {
      if (seen.has(peer) || seen.size > maxFetches) continue;
      seen.add(peer);
      fetches.push(fetch(peer, addresses));
    }
  };
  await Promise.all(lookupKeys(query, clock.nowMs()).map(look));
  await Promise.all(fetches);
}
