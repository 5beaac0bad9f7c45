import assert from "node:assert/strict";
import { peerIdFromString } from "@libp2p/peer-id";
import { openBans } from "../../../src/network/bans.ts";
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

const at = (ip: string) => `/ip4/${ip}/tcp/4010`;

describe("network/bans", (test) => {
  const open = async (store = memoryStore(), clock = fakeClock()) => ({ store, clock, bans: await openBans(store, clock) });

  test("a ban survives a restart, ends, and is twice as long the next time; a denial is forgotten", async () => {
    const { store, clock, bans } = await open();
    bans.ban("p", []);
    bans.deny("q", 3_600_000);
    assert.equal(bans.denied("p") && bans.denied("q"), true);
    await bans.save();
    const again = (await open(store, clock)).bans;
    assert.equal(again.denied("p"), true);
    assert.equal(again.denied("q"), false);
    clock.pass(3_600_000);
    assert.equal(again.denied("p"), false);
    again.ban("p", []);
    clock.pass(3_600_000);
    assert.equal(again.denied("p"), true);
    clock.pass(3_600_000);
    assert.equal(again.denied("p"), false);
    clock.pass(8 * 24 * 3_600_000);
    await again.save();
    assert.equal(store.rows.size, 0);
  });

  test("a host that banned peers come from is turned away for a while; loopback, which all share, is not", async () => {
    const { clock, bans } = await open();
    for (const peer of ["a", "b"]) bans.ban(peer, [at("198.51.100.1"), at("127.0.0.1")]);
    assert.equal(bans.deniedHost(at("198.51.100.1")), false);
    bans.ban("c", [at("198.51.100.1"), at("127.0.0.1")]);
    assert.equal(bans.deniedHost(`${at("198.51.100.1")}/p2p/d`), true);
    assert.equal(bans.deniedHost(at("198.51.100.2")), false);
    assert.equal(bans.deniedHost(at("127.0.0.1")), false);
    for (const last of [1, 2, 3]) bans.ban(`v6-${last}`, [`/ip6/2001:db8:0:7::${last}/tcp/1`]);
    assert.equal(bans.deniedHost("/ip6/2001:db8:0:7:ffff::1/tcp/1"), true, "another address of the same /64");
    assert.equal(bans.deniedHost("/ip6/2001:db8:0:8::1/tcp/1"), false);
    clock.pass(600_000);
    assert.equal(bans.deniedHost(at("198.51.100.1")), false);
  });

  test("bounded, the ones that end soonest go first", async () => {
    const { clock, bans, store } = await open();
    bans.ban("first", []);
    for (let index = 0; index < 5_000; index++) {
      if (index % 100 === 0) clock.pass(1);
      bans.ban(String(index), []);
      bans.deny(`d${index}`, 1e9);
    }
    assert.equal(bans.denied("first"), false);
    assert.equal(bans.denied("4999"), true);
    assert.equal(bans.denied("d4999"), true);
    await bans.save();
    assert.equal(store.rows.size, 4096);
  });
});

describe("network/gater", (test) => {
  test("a banned peer is denied in both directions, its host before the handshake", async () => {
    const bans = await openBans(memoryStore(), fakeClock());
    const gater = createGater(bans, () => []);
    const peer = { toString: () => "p" } as never;
    const from = (ip: string) => ({ remoteAddr: { toString: () => at(ip) } }) as never;
    bans.ban("p", []);
    assert.equal(gater.denyDialPeer?.(peer), true);
    assert.equal(gater.denyInboundEncryptedConnection?.(peer, {} as never), true);
    assert.equal(gater.denyOutboundEncryptedConnection?.(peer, {} as never), true);
    assert.equal(gater.denyDialPeer?.({ toString: () => "q" } as never), false);
    for (const other of ["q", "r", "s"]) bans.ban(other, [at("198.51.100.1")]);
    assert.equal(gater.denyInboundConnection?.(from("198.51.100.1")), true);
    assert.equal(gater.denyInboundConnection?.(from("203.0.113.1")), false);
  });

  test("one network does not take up all the room, loopback as much as it likes", async () => {
    const bans = await openBans(memoryStore(), fakeClock());
    const inbound: string[] = [];
    const gater = createGater(bans, () => inbound);
    const letIn = (ip: string) => {
      const denied = gater.denyInboundConnection?.({ remoteAddr: { toString: () => at(ip) } } as never);
      if (!denied) inbound.push(at(ip));
      return !denied;
    };
    const admitted = Array.from({ length: 100 }, (_, index) => letIn(`198.51.100.${index}`)).filter(Boolean).length;
    assert.equal(admitted, 32);
    assert.equal(letIn("203.0.113.1"), true);
    for (let index = 0; index < 100; index++) assert.equal(letIn("127.0.0.1"), true);
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
    assert.ok(kept("/peers/N") >= 5000 && kept("/peers/N") <= 5050);
  });

  test("what goes is of those who have put most into it, and of peers of least worth, not what is oldest", async () => {
    const bonded = new Set([alice]);
    const store = createDatastore(fakeClock(), (peer) => Number(bonded.has(peer)));
    const has = (name: string) => store.has(key(name));
    await store.put(key(entryOf(alice)), value);
    await store.put(key(`/dht/provider/same/${alice}`), value);
    await store.put(key(`/dht/provider/rare/${bob}`), value);
    for (let index = 0; index < 200; index++) await store.put(key(`/dht/provider/same/${identity(index + 3).peerId}`), value);
    for (let index = 0; index < 21_000; index++) await store.put(key(`/dht/provider/key-${index}/greedy`), value);
    for (let index = 0; index < 5_100; index++) await store.put(key(`/peers/${index}`), value);
    assert.ok(has(`/dht/provider/same/${alice}`), "a record of a peer with a bond");
    assert.ok(has(`/dht/provider/rare/${bob}`), "the only record of a peer");
    assert.ok(has(entryOf(alice)), "a peer with a bond");
    const greedy = Array.from({ length: 21_000 }, (_, index) => has(`/dht/provider/key-${index}/greedy`)).filter(Boolean).length;
    assert.ok(greedy > 19_000 && greedy < 20_500, `${greedy} of one peer's`);
  });
});

describe("network/known-peers", (test) => {
  const open = async (store = memoryStore(), clock = fakeClock()) => ({ store, clock, known: await openKnownPeers(store, clock) });

  test("who was seen is known after a restart, those first that were reached", async () => {
    const { store, clock, known } = await open();
    known.remember("a", ["/ip4/192.0.2.1/tcp/1"], false);
    known.remember("b", ["/ip4/192.0.2.2/tcp/1"], true);
    known.remember("nowhere", [], true);
    await known.save();
    const again = await open(store, clock);
    assert.deepEqual(again.known.all(), [
      { peer: "b", addresses: ["/ip4/192.0.2.2/tcp/1"] },
      { peer: "a", addresses: ["/ip4/192.0.2.1/tcp/1"] },
    ]);
  });

  test("whoever connects to us again and again from one network does not displace those we have reached, or other networks", async () => {
    const { known } = await open();
    for (let index = 0; index < 8; index++) known.remember(`reached${index}`, [`/ip4/198.51.${index}.1/tcp/1`], true);
    for (let index = 0; index < 8; index++) known.remember(`other${index}`, [`/ip4/203.0.${index}.1/tcp/1`], false);
    for (let index = 0; index < 1000; index++) known.remember(`flood${index}`, [`/ip4/192.0.2.${index % 250}/tcp/1`], false);
    const kept = known.all().map(({ peer }) => peer);
    assert.equal(kept.length, 64);
    assert.equal(kept.filter((peer) => /^(reached|other)/.test(peer)).length, 16);
    assert.ok(kept.slice(0, 8).every((peer) => peer.startsWith("reached")));
  });

  test("an address that was reached stays beside what a peer says of itself later", async () => {
    const { known } = await open();
    known.remember("a", ["/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.1/tcp/2"], true);
    known.remember("a", ["/ip4/192.0.2.9/tcp/1"], false);
    assert.deepEqual(known.all(), [{ peer: "a", addresses: ["/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.9/tcp/1"] }]);
  });

  test("bounded in peers and addresses; old and damaged entries go", async () => {
    const { store, clock, known } = await open();
    for (let index = 0; index < 200; index++) {
      clock.pass(1);
      known.remember(
        `p${index}`,
        Array.from({ length: 20 }, (_, at) => `/ip4/192.0.2.${at}/tcp/1`),
        true,
      );
    }
    assert.equal(known.all().length, 64);
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
