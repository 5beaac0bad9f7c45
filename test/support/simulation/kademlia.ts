import { createHash } from "node:crypto";
import { peerIdFromString } from "@libp2p/peer-id";
import { CID } from "multiformats/cid";
import type { Clock } from "../../../src/lib/clock.ts";
import { createDatastore } from "../../../src/network/datastore.ts";
import { roomInTable } from "../../../src/network/diversity.ts";

export type Place = { peer: string; addresses: string[] };
/** What one peer asks another; an attacker answers as it likes. */
export type KadNode = {
  closest(key: Uint8Array): Place[];
  providers(key: Uint8Array): Place[];
  addProvider(key: Uint8Array, provider: Place): void;
};
export type KadDeps = {
  self: Place;
  clock: Pick<Clock, "nowMs">;
  /** Asks a peer within a limit of its own; undefined when it does not answer. */
  ask<T>(place: Place, question: (node: KadNode) => T): Promise<T | undefined>;
  /** off: one network may fill the table (for controls) */
  diversity: boolean;
  worth(peer: string): number;
};

const k = 20;
const alpha = 3;
const ids = new Map<string, Uint8Array>();
export const kadIdOf = (peer: string): Uint8Array => {
  const known = ids.get(peer) ?? Uint8Array.from(createHash("sha256").update(peer).digest());
  ids.set(peer, known);
  return known;
};
/** by the first 48 bits, which no two peers have in common by chance */
export const distance = (a: Uint8Array, b: Uint8Array): number => {
  let sum = 0;
  for (let at = 0; at < 6; at++) sum = sum * 256 + ((a[at] ?? 0) ^ (b[at] ?? 0));
  return sum;
};
const nearest = (places: Place[], key: Uint8Array): Place[] =>
  places
    .map((place) => ({ place, far: distance(kadIdOf(place.peer), key) }))
    .sort((a, b) => a.far - b.far)
    .map(({ place }) => place);

type Key = Parameters<ReturnType<typeof createDatastore>["put"]>[0];
const nameOf = (text: string): Key => ({ toString: () => text }) as Key;
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const cids = new Map<string, string>();
/** where libp2p's peer store keeps a peer, without which a provider record of it counts for nothing */
const peerName = (peer: string): string => {
  const known = cids.get(peer) ?? CID.asCID(peerIdFromString(peer).toCID())?.toString() ?? "";
  cids.set(peer, known);
  return `/peers/${known}`;
};

/** Kademlia as far as discovery needs it: a table that the product's own rules guard, the product's own store of records, lookups. */
export function createKademlia(deps: KadDeps) {
  const { self, clock } = deps;
  const own = kadIdOf(self.peer);
  const buckets = new Map<number, Place[]>();
  const store = createDatastore(clock, deps.worth);
  const addressesOf = new Map<string, string[]>();
  const bucketOf = (peer: string): number => {
    const far = distance(kadIdOf(peer), own);
    return far === 0 ? 0 : Math.floor(Math.log2(far)) + 1;
  };
  const all = () => [...buckets.values()].flat();
  const meet = (place: Place) => {
    if (place.peer === self.peer) return;
    const index = bucketOf(place.peer);
    const bucket = buckets.get(index) ?? [];
    if (bucket.some(({ peer }) => peer === place.peer) || bucket.length >= k) return;
    if (deps.diversity && !roomInTable(place, bucket, all())) return;
    buckets.set(index, [...bucket, place]);
  };
  const forget = (peer: string) => {
    const index = bucketOf(peer);
    buckets.set(
      index,
      (buckets.get(index) ?? []).filter((place) => place.peer !== peer),
    );
  };
  const node: KadNode = {
    closest: (key) => nearest(all(), key).slice(0, k),
    providers: (key) => {
      const prefix = `/dht/provider/${hex(key)}`;
      const found: Place[] = [];
      for (const [peer, addresses] of addressesOf) if (store.has(nameOf(`${prefix}/${peer}`))) found.push({ peer, addresses });
      return found;
    },
    addProvider: (key, provider) => {
      addressesOf.set(provider.peer, provider.addresses);
      store.put(nameOf(peerName(provider.peer)), new Uint8Array());
      store.put(nameOf(`/dht/provider/${hex(key)}/${provider.peer}`), new Uint8Array());
    },
  };

  /** Asks its way to the nearest; hands out providers on the way. */
  async function* walk(key: Uint8Array, signal: AbortSignal): AsyncGenerator<Place, Place[]> {
    const known = new Map(node.closest(key).map((place) => [place.peer, place]));
    const asked = new Set<string>();
    const answered = new Map<string, Place>();
    while (!signal.aborted) {
      const next = nearest([...known.values()], key)
        .slice(0, k)
        .filter(({ peer }) => !asked.has(peer))
        .slice(0, alpha);
      if (next.length === 0) break;
      for (const { peer } of next) asked.add(peer);
      const answers = await Promise.all(
        next.map(async (place) => {
          const answer = await deps.ask(place, (other) => ({ closer: other.closest(key), providers: other.providers(key) }));
          if (answer) {
            answered.set(place.peer, place);
            meet(place);
          } else {
            known.delete(place.peer);
            forget(place.peer);
          }
          return answer;
        }),
      );
      for (const answer of answers) {
        for (const place of answer?.closer ?? []) if (place.peer !== self.peer && !known.has(place.peer)) known.set(place.peer, place);
        yield* answer?.providers ?? [];
      }
    }
    return nearest([...answered.values()], key).slice(0, k);
  }

  return {
    node,
    meet,
    forget,
    size: () => all().length,
    find: walk,
    /** @returns how many took it */
    provide: async (key: Uint8Array, signal: AbortSignal): Promise<number> => {
      const way = walk(key, signal);
      let step = await way.next();
      while (!step.done) step = await way.next();
      const took = await Promise.all(
        step.value.map((place) =>
          deps.ask(place, (other) => {
            other.addProvider(key, self);
            return true;
          }),
        ),
      );
      return took.filter(Boolean).length;
    },
  };
}
