import type { Discovery } from "../discovery/discovery.ts";
import { relayKind } from "../discovery/offer.ts";
import { asMystError } from "../lib/errors.ts";
import { deadline } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import { apart, placeOf } from "../network/diversity.ts";
import type { Network } from "../network/network.ts";
import type { Place } from "../services/nat.ts";
import { seenBy } from "../services/seeing.ts";
import type { See } from "../services/wireguard/meeting.ts";
import type { ExitView } from "./types.ts";
import { relayViews } from "./views.ts";

export type SeeingDeps = {
  network: Pick<Network, "ask">;
  /** dials through a kill switch, where one stands */
  dialler: Pick<Network, "connect">;
  discovery: Pick<Discovery, "offers" | "search">;
  log: Logger;
};

/** two that agree say what others will see */
const wanted = 2;
/** asked in all, when some do not answer */
const most = 6;
const searchMs = 2_000;
const dialMs = 2_000;
const seenMs = 3_500;

/** The IPv4 address at which a relay is reached, and greeted. */
export const hostOfRelay = ({ addresses }: Pick<ExitView, "addresses">): string | undefined =>
  addresses.map((address) => (address.startsWith("/ip4/") ? placeOf(address)?.host : undefined)).find((host) => host !== undefined);

/** Relays that are known, else those that are found in a moment; of several networks first. */
export async function knownRelays({ discovery }: Pick<SeeingDeps, "discovery">, least: number, signal: AbortSignal): Promise<ExitView[]> {
  const known = discovery.offers({ service: relayKind });
  const offers =
    known.length >= least ? known : [...known, ...(await discovery.search({ service: relayKind }, deadline(searchMs, signal)))];
  const relays = new Map(offers.flatMap(relayViews).map((relay) => [relay.peer, relay]));
  return apart([...relays.values()], ({ addresses }) => addresses, 1);
}

/** Asks two relays where they see a socket; further ones in place of those that do not answer. */
export const createSeeing =
  ({ network, dialler, discovery, log }: SeeingDeps): See =>
  async (greet, signal) => {
    const waiting = (await knownRelays({ discovery }, wanted, signal)).slice(0, most);
    const seen: Place[] = [];
    const ask = async () => {
      for (let relay = waiting.shift(); relay && !signal.aborted; relay = waiting.shift()) {
        const { peer, addresses } = relay;
        const address = hostOfRelay(relay);
        if (address === undefined) continue;
        try {
          await dialler.connect(peer, addresses, deadline(dialMs, signal));
          seen.push(await seenBy(network, { peer, address }, greet, deadline(seenMs, signal)));
          return;
        } catch (error) {
          log.info("a relay did not see us", { peer, code: asMystError(error).code });
        }
      }
    };
    await Promise.all(Array.from({ length: wanted }, ask));
    return seen;
  };
