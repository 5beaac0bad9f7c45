import { NotFoundError } from "@libp2p/interface";
import type { Libp2pInit } from "libp2p";
import { base32 } from "multiformats/bases/base32";
import { base58btc } from "multiformats/bases/base58";
import type { Clock } from "../lib/clock.ts";
import { type Member, secretOrder, toEvict } from "../lib/sample.ts";

type Datastore = NonNullable<Libp2pInit["datastore"]>;
type Key = Parameters<Datastore["get"]>[0];
type Entry = { key: Key; value: Uint8Array; atMs: number; order: number /** whose it is */; peer: string };

/** How long a provider record counts; providers renew theirs every few minutes. */
export const providerValidMs = 30 * 60_000;
const maxPeers = 5000;
const maxProviderRecords = 20_000;
const maxProvidersPerKey = 64;
const maxOthers = 1000;
/** kad-dht's place for provider records: /dht/provider/<multihash>/<peer id> */
const providers = "/dht/provider/";

const peers = "/peers";
const lastOf = (name: string): string => name.slice(name.lastIndexOf("/") + 1);
/** The peer store's key for the peer of a provider record: a CID (version 1, libp2p-key) in base32 for a base58 multihash. */
const peerKeyOf = (providerKey: string): string =>
  `${peers}/${base32.encode(Uint8Array.of(1, 0x72, ...base58btc.decode(`z${lastOf(providerKey)}`)))}`;
/** The peer id in one of the peer store's keys; what is no such key has none. */
const idOf = (name: string): string => {
  try {
    return base58btc.encode(base32.decode(lastOf(name)).slice(2)).slice(1);
  } catch {
    return "";
  }
};

/**
 * What libp2p stores about others (addresses, provider records), in memory and bounded: whoever connects can make it grow,
 * it is written on every new stream, and a restart had better forget stale provider records. What is worth keeping
 * over a restart is in known-peers.ts. kad-dht hands out providers that have expired, and resets the stream of whoever asks when
 * one of them is no longer in the peer store; here both are left out.
 *
 * When there is too much, sample.ts says what goes: of peers of least worth, of those who have put most into it, and nobody can choose which.
 * @param worth of a peer, by its id: more for those connected, or known to have a bond
 */
export function createDatastore(clock: Pick<Clock, "nowMs">, worth: (peer: string) => number = () => 0): Datastore {
  /** by parent path, so that the providers of one key are found without a look at all the others */
  const groups = new Map<string, Map<string, Entry>>();
  const orderOf = secretOrder();
  let records = 0;
  const parentOf = (name: string) => name.slice(0, name.lastIndexOf("/"));
  const valid = (name: string, entry: Entry) => !name.startsWith(providers) || clock.nowMs() - entry.atMs < providerValidMs;
  const findable = (name: string) => !name.startsWith(providers) || groups.get(peers)?.has(peerKeyOf(name)) === true;

  const drop = (name: string) => {
    const parent = parentOf(name);
    const group = groups.get(parent);
    if (!group?.delete(name)) return;
    if (name.startsWith(providers)) records -= 1;
    if (group.size === 0) groups.delete(parent);
  };
  const bound = (names: Iterable<string>, count: number, most: number) => {
    // many go at once, for one at a time would cost a look at all of them each
    if (count <= most + most / 100) return;
    const members = Array.from(names, (name): Member => {
      const entry = entryOf(name) as Entry;
      const weight = valid(name, entry) ? worth(entry.peer) : Number.NEGATIVE_INFINITY;
      return { key: name, group: entry.peer, weight, order: entry.order };
    });
    for (const { key } of toEvict(members, count - most)) drop(key);
  };
  const providerNames = function* () {
    for (const [parent, group] of groups) if (parent.startsWith(providers)) yield* group.keys();
  };
  const entryOf = (name: string): Entry | undefined => groups.get(parentOf(name))?.get(name);

  const put = (key: Key, value: Uint8Array): Key => {
    const name = key.toString();
    const parent = parentOf(name);
    const group = groups.get(parent) ?? new Map<string, Entry>();
    const before = group.get(name);
    if (!before && name.startsWith(providers)) records += 1;
    const known = before ?? { order: orderOf(name), peer: name.startsWith(providers) ? lastOf(name) : idOf(name) };
    group.set(name, { ...known, key, value, atMs: clock.nowMs() });
    groups.set(parent, group);
    if (name.startsWith(providers)) {
      bound(group.keys(), group.size, maxProvidersPerKey);
      bound(providerNames(), records, maxProviderRecords);
    } else bound(group.keys(), group.size, parent === peers ? maxPeers : maxOthers);
    return key;
  };
  const find = (key: Key): Entry | undefined => {
    const name = key.toString();
    const entry = entryOf(name);
    return entry && valid(name, entry) ? entry : undefined;
  };
  const get = (key: Key): Uint8Array => {
    const entry = find(key);
    if (!entry) throw new NotFoundError(`no ${key.toString()}`);
    return entry.value;
  };
  const remove = (key: Key): void => drop(key.toString());
  const under = (prefix: string): Entry[] => {
    const found: Entry[] = [];
    const collect = (group: Map<string, Entry>) => {
      for (const [name, entry] of group) if (name.startsWith(prefix) && valid(name, entry) && findable(name)) found.push(entry);
    };
    const exact = groups.get(prefix);
    if (exact) collect(exact);
    else for (const [parent, group] of groups) if (parent.startsWith(prefix) || prefix.startsWith(parent)) collect(group);
    return found;
  };

  return {
    put,
    get,
    has: (key) => find(key) !== undefined,
    delete: remove,
    async *putMany(source) {
      for await (const { key, value } of source) yield put(key, value);
    },
    async *getMany(source) {
      for await (const key of source) yield { key, value: get(key) };
    },
    async *deleteMany(source) {
      for await (const key of source) {
        remove(key);
        yield key;
      }
    },
    batch: () => {
      const writes: (() => void)[] = [];
      return {
        put: (key, value) => void writes.push(() => put(key, value)),
        delete: (key) => void writes.push(() => remove(key)),
        commit: () => {
          for (const write of writes.splice(0)) write();
        },
      };
    },
    async *query(query) {
      let pairs = under(query.prefix ?? "").map(({ key, value }) => ({ key, value }));
      for (const filter of query.filters ?? []) pairs = pairs.filter(filter);
      for (const order of query.orders ?? []) pairs.sort(order);
      const from = query.offset ?? 0;
      yield* pairs.slice(from, query.limit === undefined ? undefined : from + query.limit);
    },
    async *queryKeys(query) {
      let keys = under(query.prefix ?? "").map(({ key }) => key);
      for (const filter of query.filters ?? []) keys = keys.filter(filter);
      for (const order of query.orders ?? []) keys.sort(order);
      const from = query.offset ?? 0;
      yield* keys.slice(from, query.limit === undefined ? undefined : from + query.limit);
    },
  };
}
