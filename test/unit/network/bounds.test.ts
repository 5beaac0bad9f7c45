import assert from "node:assert/strict";
import { peerIdFromString } from "@libp2p/peer-id";
import { createDatastore, providerValidMs } from "../../../src/network/datastore.ts";
import { createGater } from "../../../src/network/gater.ts";
import { openKnownPeers } from "../../../src/network/known-peers.ts";
import { createQuota } from "../../../src/network/quota.ts";
import { describe } from "../../support/harness.ts";
import { fakeClock, identity, memoryStore } from "../discovery/offers.ts";

type Datastore = ReturnType<typeof createDatastore>;
const key = (name: string) => ({ toString: () => name }) as Parameters<Datastore["get"]>[0];
const value = Uint8Array.of(1);
const [alice, bob] = [identity(1).peerId, identity(2).peerId];
/** where libp2p's peer store keeps them */
const entryOf = (peer: string) => `/peers/${peerIdFromString(peer).toCID().toString()}`;
const names = async (store: Datastore, prefix: string) => {
  const found: string[] = [];
  for await (const pair of store.query({ prefix })) found.push(pair.key.toString());
  return found;
};

describe("network/quota", (test) => {
  test("a burst at once, then as many as time allows, each key for itself", () => {
    const clock = fakeClock();
    const quota = createQuota(clock, { burst: 3, perSecond: 2 });
    const take = (name: string, times: number) => Array.from({ length: times }, () => quota.take(name)).filter(Boolean).length;
    assert.equal(take("a", 10), 3);
    assert.equal(quota.has("a"), false);
    assert.equal(take("b", 1), 1);
    clock.pass(500);
    assert.equal(quota.has("a"), true);
    assert.equal(take("a", 10), 1);
    clock.pass(3_600_000);
    assert.equal(take("a", 10), 3);
  });

  test("it forgets the key used longest ago, and a clock set back gives nothing away", () => {
    const clock = fakeClock();
    const quota = createQuota(clock, { burst: 1, perSecond: 1, maxKeys: 2 });
    for (const name of ["a", "b", "c"]) quota.take(name);
    assert.equal(quota.has("a"), true);
    assert.equal(quota.has("b"), false);
    clock.pass(-3_600_000);
    assert.equal(quota.take("b"), false);
  });
});

describe("network/gater", (test) => {
  test("a denied peer is denied in both directions, and not for ever", () => {
    const clock = fakeClock();
    const { deny, denied, gater } = createGater(clock);
    const peer = { toString: () => "p" } as never;
    deny("p", 1000);
    assert.equal(denied("p"), true);
    assert.equal(gater.denyDialPeer?.(peer), true);
    assert.equal(gater.denyInboundEncryptedConnection?.(peer, {} as never), true);
    assert.equal(denied("other"), false);
    clock.pass(1000);
    assert.equal(gater.denyDialPeer?.(peer), false);
  });

  test("the list is bounded", () => {
    const { deny, denied } = createGater(fakeClock());
    for (let index = 0; index < 10_000; index++) deny(String(index), 1e9);
    assert.equal(denied("0"), false);
    assert.equal(denied("9999"), true);
  });
});

describe("network/datastore", (test) => {
  test("keeps, finds by prefix, forgets", async () => {
    const store = createDatastore(fakeClock());
    for (const name of [entryOf(alice), entryOf(bob), `/dht/provider/k/${alice}`, `/dht/provider/k/${bob}`, `/dht/provider/l/${alice}`])
      await store.put(key(name), value);
    assert.deepEqual(await names(store, "/peers"), [entryOf(alice), entryOf(bob)]);
    assert.deepEqual(await names(store, "/dht/provider/k"), [`/dht/provider/k/${alice}`, `/dht/provider/k/${bob}`]);
    assert.equal((await names(store, "/dht/provider")).length, 3);
    assert.equal((await names(store, "")).length, 5);
    await store.delete(key(entryOf(alice)));
    assert.equal(await store.has(key(entryOf(alice))), false);
    await assert.rejects(async () => store.get(key(entryOf(alice))), { name: "NotFoundError" });
    assert.deepEqual(await names(store, "/dht/provider/k"), [`/dht/provider/k/${bob}`], "a provider that nobody knows how to reach");
  });

  test("a provider record that has expired is none; other things stay", async () => {
    const clock = fakeClock();
    const store = createDatastore(clock);
    await store.put(key(`/dht/provider/k/${alice}`), value);
    await store.put(key(entryOf(alice)), value);
    assert.equal((await names(store, "/dht/provider/k")).length, 1);
    clock.pass(providerValidMs);
    assert.deepEqual(await names(store, "/dht/provider/k"), []);
    assert.equal(await store.has(key(`/dht/provider/k/${alice}`)), false);
    assert.equal(await store.has(key(entryOf(alice))), true);
  });

  test("others cannot make it grow without end, by keys, by providers of a key or by peers", async () => {
    const store = createDatastore(fakeClock());
    const has = (name: string) => store.has(key(name));
    for (let index = 0; index < 6000; index++) {
      await store.put(key(`/dht/provider/key-${index}/p`), value);
      await store.put(key(`/dht/provider/same/p-${index}`), value);
      await store.put(key(`/peers/${index}`), value);
    }
    const kept = (prefix: string) =>
      Array.from({ length: 6000 }, (_, index) => index).filter((index) => has(prefix.replace("N", String(index)))).length;
    assert.equal(kept("/dht/provider/same/p-N"), 64);
    assert.ok(kept("/dht/provider/key-N/p") < 5000);
    assert.equal(kept("/peers/N"), 5000);
    assert.ok(has("/peers/5999") && has("/dht/provider/key-5999/p") && has("/dht/provider/same/p-5999"));
  });
});

describe("network/known-peers", (test) => {
  const open = async (store = memoryStore(), clock = fakeClock()) => ({ store, clock, known: await openKnownPeers(store, clock) });

  test("who was seen is known after a restart, the last seen first", async () => {
    const { store, clock, known } = await open();
    known.remember("a", ["/ip4/192.0.2.1/tcp/1"]);
    clock.pass(1);
    known.remember("b", ["/ip4/192.0.2.2/tcp/1"]);
    known.remember("nowhere", []);
    await known.save();
    const again = await open(store, clock);
    assert.deepEqual(again.known.all(), [
      { peer: "b", addresses: ["/ip4/192.0.2.2/tcp/1"] },
      { peer: "a", addresses: ["/ip4/192.0.2.1/tcp/1"] },
    ]);
  });

  test("bounded in peers and addresses; old and damaged entries go", async () => {
    const { store, clock, known } = await open();
    for (let index = 0; index < 200; index++) {
      clock.pass(1);
      known.remember(
        `p${index}`,
        Array.from({ length: 20 }, (_, at) => `/ip4/192.0.2.${at}/tcp/1`),
      );
    }
    assert.equal(known.all().length, 64);
    assert.equal(known.all()[0]?.peer, "p199");
    assert.equal(known.all()[0]?.addresses.length, 8);
    await known.save();
    assert.equal(store.rows.size, 64);
    store.rows.set("peer/damaged", value);
    clock.pass(365 * 24 * 3_600_000);
    const again = await open(store, clock);
    assert.deepEqual(again.known.all(), []);
    await again.known.save();
    assert.equal(store.rows.size, 0);
  });
});
