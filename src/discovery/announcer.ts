import type { Identity } from "../identity/identity.ts";
import type { RecordDomain } from "../identity/record.ts";
import type { Clock } from "../lib/clock.ts";
import { every } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import type { Store } from "../lib/store.ts";
import { isLoopback, isPublic, isRelayed } from "../network/diversity.ts";
import type { Network } from "../network/network.ts";
import { createQuota } from "../network/quota.ts";
import type { OfferContent } from "./discovery.ts";
import { encodeOffer, offerLifeMs, type SignedOffer, signOffer } from "./offer.ts";
import { offersTopic, placementKeys } from "./protocol.ts";

export type Announcer = {
  announce(content: OfferContent): Promise<void>;
  withdraw(): Promise<void>;
  /** our own offer as last signed, while it is good */
  current(): SignedOffer | undefined;
  /** Somebody may not have our offer: announce it soon, as far as the rate allows. */
  request(): void;
  /** The same where it has reached nobody so far. */
  unheard(): void;
  stop(): Promise<void>;
};

type Deps = {
  network: Pick<Network, "peerId" | "addresses" | "onAddresses" | "publish" | "provide">;
  identity: Identity;
  store: Pick<Store, "table" | "writeLazily">;
  clock: Clock;
  log: Logger;
  domain: RecordDomain["network"];
  /** how many offers are known: with more exits, each answers to a seeker less often */
  marketSize(): number;
  /** A new offer was signed and published: hands it to whom gossip may not reach. Never throws. */
  exchange(): Promise<void>;
};

const repeatMs = 4 * 60_000;
/** after the first, while the paths that gossip takes are still forming */
const earlyMs = [2_000, 15_000, 60_000];
/** a few at once for a start, then one in 10 s; validators hold others to a little more */
const rate = { burst: 6, perSecond: 0.1 };
/** what all exits together may answer to one seeker, roughly: one announcement per known offer and 100 ms */
const perOfferMs = 100;
/** several requests at once are one */
const gatherMs = 30;
const maxAddresses = 6;
const maxRelayed = 3;

/**
 * Of a node's own addresses those that lead from elsewhere to it: a node that listens on all interfaces has some that do not, and who dials
 * them waits in vain. Relayed ones come last, and are long.
 */
export function ofUseToOthers(addresses: string[]): string[] {
  const elsewhere = addresses.filter((address) => !isLoopback(address));
  const outside = elsewhere.filter(isPublic);
  const useful = [outside, elsewhere].find((some) => some.length > 0) ?? addresses;
  const relayed = useful.filter(isRelayed);
  return [
    ...useful.filter((address) => !isRelayed(address)).slice(0, maxAddresses - Math.min(relayed.length, maxRelayed)),
    ...relayed.slice(0, maxRelayed),
  ];
}

/** Keeps this node's offer known: by gossip when it changes, when somebody seems not to have it, every 4 minutes; and in the DHT. */
export async function createAnnouncer(deps: Deps): Promise<Announcer> {
  const { network, identity, clock, log } = deps;
  const table = deps.store.table("announcer");
  const quota = createQuota(clock, rate);
  const placements = new Map<string, AbortController>();
  let lastSeq = BigInt(new TextDecoder().decode(await table.get("seq")) || "0");
  let content: OfferContent | undefined;
  let signed: SignedOffer | undefined;
  let publishedMs = 0;
  let reached = 0;
  let due: Promise<void> | undefined;
  const stopped = new AbortController();

  const addresses = () => ofUseToOthers(network.addresses());
  const sign = async (wanted: OfferContent): Promise<SignedOffer> => {
    const nowMs = clock.nowMs();
    lastSeq = BigInt(nowMs) > lastSeq ? BigInt(nowMs) : lastSeq + 1n;
    signed = signOffer(identity, deps.domain, {
      ...wanted,
      peer: identity.peerId,
      address: identity.address,
      addresses: addresses(),
      seq: lastSeq,
      expiresMs: nowMs + offerLifeMs,
    });
    // a clock set back over a restart would else make our offers old ones
    await deps.store.writeLazily([table.put("seq", new TextEncoder().encode(lastSeq.toString()))]);
    return signed;
  };
  const publish = async (offer: SignedOffer) => {
    publishedMs = clock.nowMs();
    reached = await network.publish(offersTopic, encodeOffer(offer));
    log.debug("offer announced", { seq: offer.offer.seq, neighbours: reached });
    await deps.exchange();
  };
  const whenAllowed = async () => {
    await clock.sleep(gatherMs, stopped.signal);
    while (!quota.has("")) await clock.sleep(500, stopped.signal);
    if (content) await publish(await sign(content));
    // what reached nobody weighed on nobody
    if (reached > 0) quota.take("");
  };
  const soon = () => {
    due ??= whenAllowed()
      .catch((error) => {
        if (!stopped.signal.aborted) log.warn("offer not announced", { error: (error as Error).message });
      })
      .finally(() => {
        due = undefined;
      });
  };

  const early = async () => {
    for (const ms of earlyMs) {
      await clock.sleep(ms, stopped.signal).catch(() => undefined);
      if (content && !stopped.signal.aborted) soon();
    }
  };

  const place = () => {
    const keys = new Map<string, Uint8Array>();
    if (content) for (const key of placementKeys({ peer: identity.peerId, ...content }, clock.nowMs())) keys.set(String(key), key);
    for (const [name, controller] of placements)
      if (!keys.has(name)) {
        controller.abort();
        placements.delete(name);
      }
    for (const [name, key] of keys)
      if (!placements.has(name)) {
        const controller = new AbortController();
        placements.set(name, controller);
        network.provide(key, controller.signal).catch((error) => log.warn("not in the DHT", { error: (error as Error).message }));
      }
  };
  const onError = (error: unknown) => log.warn("offer not announced", { error: (error as Error).message });
  const repeat = every(clock, repeatMs, async () => soon(), onError);
  const placing = every(clock, 60_000, async () => place(), onError);

  const offMoves = network.onAddresses(() => {
    if (content && signed && String(signed.offer.addresses) !== String(addresses())) soon();
  });

  const withdraw = async () => {
    if (!content) return;
    const last = { ...content, services: [], sessions: 0 };
    content = undefined;
    place();
    await publish(await sign(last));
    signed = undefined;
  };
  return {
    announce: async (next) => {
      const first = content === undefined;
      content = next;
      if (first) {
        await sign(next);
        void early();
      }
      soon();
      place();
    },
    withdraw,
    current: () => (signed && signed.offer.expiresMs > clock.nowMs() ? signed : undefined),
    request: () => {
      const quietMs = deps.marketSize() * perOfferMs;
      if (content && (reached === 0 || clock.nowMs() - publishedMs >= quietMs)) soon();
    },
    unheard: () => {
      if (content && reached === 0) soon();
    },
    stop: async () => {
      stopped.abort();
      offMoves();
      await Promise.all([repeat.stop(), placing.stop(), due]);
      await withdraw().catch(onError);
    },
  };
}
