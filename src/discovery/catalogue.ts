import { z } from "zod";
import type { RecordDomain } from "../identity/record.ts";
import type { Clock } from "../lib/clock.ts";
import { boundedBytes, cborCodec } from "../lib/codec.ts";
import { type Member, secretOrder, toEvict } from "../lib/sample.ts";
import type { Op, Store } from "../lib/store.ts";
import type { Announcers } from "./announcers.ts";
import type { DiscoverySource, KnownOffer } from "./discovery.ts";
import { checkSigner, encodeOffer, maxOfferBytes, openOffer, type SignedOffer } from "./offer.ts";

/** This node's own copy of the market: the newest offer of each peer, until it expires. Those of announcers without a bond are none. */
export type Catalogue = {
  /** How an offer stands to what is held of its peer: by seq; "same" down to the signature, and so as good as checked. */
  compare(signed: SignedOffer): "newer" | "same" | "older";
  /**
   * Takes in an offer whose times hold, checking its signature unless the very same one is held. True when it is newer than what was held.
   * @throws BAD_SIGNATURE, MALFORMED
   */
  add(signed: SignedOffer, source: DiscoverySource): boolean;
  get(peer: string): KnownOffer | undefined;
  /** Forgets a peer's offer. */
  forget(peer: string): void;
  /** offers that have not expired, those of withdrawn exits (no services) too, by peer id */
  all(): KnownOffer[];
  /** Forgets what has expired and writes what has changed. */
  save(): Promise<void>;
};

type Deps = {
  store: Pick<Store, "table" | "writeLazily">;
  clock: Pick<Clock, "nowMs">;
  network: RecordDomain["network"];
  announcers: Pick<Announcers, "standing">;
};

const defaultMaxOffers = 10_000;
const source = z.enum(["gossip", "snapshot", "dht", "cache"]);
const rowCodec = cborCodec(
  z.strictObject({ envelope: boundedBytes(maxOfferBytes), sources: z.array(source).min(1).max(4) }),
  maxOfferBytes + 100,
);

/**
 * Opens the table `offer`. What is in it is checked like anything else: a data directory may have served another network.
 * When it is full, sample.ts says who goes: those not known to have a bond first, then of the country that has most, nobody can choose which.
 */
export async function openCatalogue({ store, clock, network, announcers }: Deps, maxOffers = defaultMaxOffers): Promise<Catalogue> {
  const table = store.table("offer");
  const held = new Map<string, KnownOffer>();
  /** the same by peer id: they are listed often, and others come seldom */
  const inOrder: KnownOffer[] = [];
  const changed = new Set<string>();
  const orderOf = secretOrder();
  const orders = new Map<string, number>();
  /** many go at once, for one at a time would cost a look at all of them each */
  const slack = Math.floor(maxOffers / 100);
  const isUnbonded = ({ offer }: SignedOffer) => announcers.standing(offer.address) === "unbonded";
  const placeOf = (peer: string): number => {
    let [low, high] = [0, inOrder.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((inOrder[middle]?.offer.peer ?? "") < peer) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const hold = (peer: string, known: KnownOffer) => {
    inOrder.splice(placeOf(peer), held.has(peer) ? 1 : 0, known);
    held.set(peer, known);
  };
  const forget = (peer: string) => {
    if (held.delete(peer)) inOrder.splice(placeOf(peer), 1);
    orders.delete(peer);
    changed.add(peer);
  };
  const memberOf = ({ offer: { peer, country, address } }: SignedOffer): Member => {
    const order = orders.get(peer) ?? orderOf(peer);
    orders.set(peer, order);
    return { key: peer, group: country, order, weight: announcers.standing(address) === "bonded" ? 1 : 0 };
  };
  for await (const [peer, bytes] of table.entries()) {
    try {
      const { envelope, sources } = rowCodec.decode(bytes);
      hold(peer, { ...openOffer(envelope, network, clock.nowMs()), sources });
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
    for (const [peer, known] of held) if (known.offer.expiresMs <= nowMs || isUnbonded(known)) forget(peer);
  };
  const remember = (signed: SignedOffer, sources: DiscoverySource[]) => {
    hold(signed.offer.peer, { ...signed, sources });
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
      if (!known && held.size > maxOffers + slack - 1) purge();
      const sources = known?.sources ?? [];
      remember(signed, sources.includes(from) ? sources : [...sources, from]);
      if (held.size > maxOffers + slack)
        for (const { key } of toEvict([...held.values()].map(memberOf), held.size - maxOffers)) forget(key);
      return held.has(peer);
    },
    get: (peer) => held.get(peer),
    forget,
    all: () => {
      const nowMs = clock.nowMs();
      return inOrder.filter((known) => known.offer.expiresMs > nowMs && !isUnbonded(known));
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
