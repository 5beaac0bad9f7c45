import { z } from "zod";
import type { RecordDomain } from "../identity/record.ts";
import type { Clock } from "../lib/clock.ts";
import { boundedBytes, cborCodec } from "../lib/codec.ts";
import type { Op, Store } from "../lib/store.ts";
import type { DiscoverySource, KnownOffer } from "./discovery.ts";
import { checkSigner, encodeOffer, maxOfferBytes, openOffer, type SignedOffer } from "./offer.ts";

/** This node's own copy of the market: the newest offer of each peer, until it expires. */
export type Catalogue = {
  /** How an offer stands to what is held of its peer: by seq; "same" down to the signature, and so as good as checked. */
  compare(signed: SignedOffer): "newer" | "same" | "older";
  /**
   * Takes in an offer whose times hold, checking its signature unless the very same one is held. True when it is newer than what was held.
   * @throws BAD_SIGNATURE, MALFORMED
   */
  add(signed: SignedOffer, source: DiscoverySource): boolean;
  get(peer: string): KnownOffer | undefined;
  /** offers that have not expired, those of withdrawn exits (no services) too, by peer id */
  all(): KnownOffer[];
  /** Forgets what has expired and writes what has changed. */
  save(): Promise<void>;
};

type Deps = { store: Pick<Store, "table" | "writeLazily">; clock: Pick<Clock, "nowMs">; network: RecordDomain["network"] };

const defaultMaxOffers = 10_000;
const source = z.enum(["gossip", "snapshot", "dht"]);
const rowCodec = cborCodec(
  z.strictObject({ envelope: boundedBytes(maxOfferBytes), sources: z.array(source).min(1).max(3) }),
  maxOfferBytes + 100,
);

/**
 * Opens the table `offer`. What is in it is checked like anything else: a data directory may have served another network.
 * When it is full, offers of peers not held are refused; they come again once others have expired.
 */
export async function openCatalogue({ store, clock, network }: Deps, maxOffers = defaultMaxOffers): Promise<Catalogue> {
  const table = store.table("offer");
  const held = new Map<string, KnownOffer>();
  const changed = new Set<string>();
  for await (const [peer, bytes] of table.entries()) {
    try {
      const { envelope, sources } = rowCodec.decode(bytes);
      held.set(peer, { ...openOffer(envelope, network, clock.nowMs()), sources });
    } catch {
      changed.add(peer);
    }
  }

  const compare: Catalogue["compare"] = ({ offer, body, signature }) => {
    const known = held.get(offer.peer);
    if (!known || offer.seq > known.offer.seq) return "newer";
    return Buffer.compare(body, known.body) === 0 && Buffer.compare(signature, known.signature) === 0 ? "same" : "older";
  };
  const purge = () => {
    const nowMs = clock.nowMs();
    for (const [peer, { offer }] of held)
      if (offer.expiresMs <= nowMs) {
        held.delete(peer);
        changed.add(peer);
      }
  };
  const remember = (signed: SignedOffer, sources: DiscoverySource[]) => {
    held.set(signed.offer.peer, { ...signed, sources });
    changed.add(signed.offer.peer);
  };

  return {
    compare,
    add: (signed, from) => {
      const { peer } = signed.offer;
      const known = held.get(peer);
      const relation = compare(signed);
      if (relation === "older") return false;
      if (relation === "same") {
        if (known && !known.sources.includes(from)) remember(known, [...known.sources, from]);
        return false;
      }
      checkSigner(signed, network);
      if (!known && held.size >= maxOffers) purge();
      if (!known && held.size >= maxOffers) return false;
      const sources = known?.sources ?? [];
      remember(signed, sources.includes(from) ? sources : [...sources, from]);
      return true;
    },
    get: (peer) => held.get(peer),
    all: () => {
      const nowMs = clock.nowMs();
      return [...held.values()].filter(({ offer }) => offer.expiresMs > nowMs).sort((a, b) => (a.offer.peer < b.offer.peer ? -1 : 1));
    },
    save: async () => {
      purge();
      if (changed.size === 0) return;
      const ops: Op[] = [...changed].map((peer) => {
        const known = held.get(peer);
        return known ? table.put(peer, rowCodec.encode({ envelope: encodeOffer(known), sources: known.sources })) : table.del(peer);
      });
      changed.clear();
      await store.writeLazily(ops);
    },
  };
}
