import assert from "node:assert/strict";
import { everybody, type Standing } from "../../../src/discovery/announcers.ts";
import { openCatalogue } from "../../../src/discovery/catalogue.ts";
import { isMystError } from "../../../src/lib/errors.ts";
import { draws } from "../../support/draws.ts";
import { describe } from "../../support/harness.ts";
import { fakeClock, identity, market, memoryStore, signedBy, startMs } from "./offers.ts";

const open = async (maxOffers?: number, standing: (address: string) => Standing = () => "bonded") => {
  const announcers = { ...everybody, standing };
  const store = memoryStore();
  const clock = fakeClock();
  const again = () => openCatalogue({ store, clock, network: market, announcers }, maxOffers);
  return { store, clock, again, catalogue: await again() };
};
const [alice, bob, carol] = [identity(1), identity(2), identity(3)] as const;
const next = (number: number) => ({ seq: BigInt(startMs + number) });

describe("discovery/catalogue", (test) => {
  test("the newest offer of each peer wins, whatever order they come in", async () => {
    const { catalogue } = await open();
    assert.equal(catalogue.add(signedBy(alice, next(2)), "gossip"), true);
    assert.equal(catalogue.add(signedBy(alice, next(1)), "dht"), false);
    assert.equal(catalogue.add(signedBy(bob), "gossip"), true);
    assert.equal(catalogue.add(signedBy(alice, next(3)), "gossip"), true);
    assert.deepEqual(
      catalogue
        .all()
        .map(({ offer }) => [offer.peer, offer.seq])
        .sort(),
      [
        [alice.peerId, BigInt(startMs + 3)],
        [bob.peerId, BigInt(startMs)],
      ].sort(),
    );
  });

  test("all are listed by peer id, whatever was taken in, renewed, forgotten, evicted or read from the disk", async () => {
    const { catalogue, again } = await open(24);
    const draw = draws(7);
    const expected = new Map<string, bigint>();
    const check = (one: typeof catalogue) => {
      const listed = one.all().map(({ offer }) => [offer.peer, offer.seq] as const);
      assert.deepEqual(
        listed,
        [...expected].sort(([a], [b]) => (a < b ? -1 : 1)),
      );
    };
    for (let step = 0; step < 400; step += 1) {
      const who = identity(1 + Math.floor(draw() * 60));
      if (draw() < 0.2) {
        catalogue.forget(who.peerId);
        expected.delete(who.peerId);
      } else if (catalogue.add(signedBy(who, next(step)), "gossip")) expected.set(who.peerId, BigInt(startMs + step));
      // who is evicted is the catalogue's choice
      for (const peer of [...expected.keys()]) if (!catalogue.get(peer)) expected.delete(peer);
      check(catalogue);
    }
    assert.ok(expected.size > 5);
    await catalogue.save();
    check(await again());
  });

  test("two contents of one seq: the first stays, so that nobody can be told two things at once and change their mind", async () => {
    const { catalogue } = await open();
    catalogue.add(signedBy(alice, { country: "US" }), "gossip");
    assert.equal(catalogue.compare(signedBy(alice, { country: "DE" })), "older");
    assert.equal(catalogue.add(signedBy(alice, { country: "DE" }), "gossip"), false);
    assert.equal(catalogue.get(alice.peerId)?.offer.country, "US");
  });

  test("sources are remembered, in the order of their coming", async () => {
    const { catalogue } = await open();
    catalogue.add(signedBy(alice), "snapshot");
    catalogue.add(signedBy(alice), "gossip");
    catalogue.add(signedBy(alice), "gossip");
    catalogue.add(signedBy(alice, next(1)), "dht");
    assert.deepEqual(catalogue.get(alice.peerId)?.sources, ["snapshot", "gossip", "dht"]);
  });

  test("a signature is checked before anything is taken in; the same content under a false one is not the same", async () => {
    const { catalogue } = await open();
    const forged = { ...signedBy(alice), signature: signedBy(bob).signature };
    assert.throws(
      () => catalogue.add(forged, "gossip"),
      (error) => isMystError(error, "BAD_SIGNATURE"),
    );
    assert.equal(catalogue.all().length, 0);
    catalogue.add(signedBy(alice), "gossip");
    assert.equal(catalogue.compare(signedBy(alice)), "same");
    assert.notEqual(catalogue.compare(forged), "same");
  });

  test("what has expired is not shown, and is gone from the disk at the next save", async () => {
    const { catalogue, clock, store } = await open();
    catalogue.add(signedBy(alice), "gossip");
    catalogue.add(signedBy(bob, { expiresMs: startMs + 60_000 }), "gossip");
    await catalogue.save();
    assert.equal(store.rows.size, 2);
    clock.pass(60_000);
    assert.deepEqual(
      catalogue.all().map(({ offer }) => offer.peer),
      [alice.peerId],
    );
    await catalogue.save();
    assert.equal(store.rows.size, 1);
  });

  test("it survives a restart with its sources; what is of another network, damaged or over does not", async () => {
    const { catalogue, clock, store, again } = await open();
    catalogue.add(signedBy(alice), "dht");
    catalogue.add(signedBy(alice), "gossip");
    catalogue.add(signedBy(carol, { expiresMs: startMs + 1000 }), "gossip");
    await catalogue.save();
    store.rows.set("offer/damaged", Uint8Array.of(1, 2, 3));
    clock.pass(2000);
    const reopened = await again();
    assert.deepEqual(
      reopened.all().map(({ offer, sources }) => [offer.peer, sources]),
      [[alice.peerId, ["dht", "gossip"]]],
    );
    await reopened.save();
    assert.deepEqual([...store.rows.keys()], [`offer/${alice.peerId}`]);
    const elsewhere = await openCatalogue({ store, clock, network: { ...market, chainId: 1 }, announcers: everybody });
    assert.deepEqual(elsewhere.all(), []);
  });

  test("it is bounded: one has to go, those it knows renew theirs, and room is made by expiry", async () => {
    const { catalogue, clock } = await open(2);
    catalogue.add(signedBy(alice), "gossip");
    catalogue.add(signedBy(bob, { expiresMs: startMs + 60_000 }), "gossip");
    assert.equal(catalogue.add(signedBy(carol), "gossip"), catalogue.get(carol.peerId) !== undefined);
    assert.equal(catalogue.all().length, 2);
    const [held] = catalogue.all();
    const owner = [alice, bob, carol].find(({ peerId }) => peerId === held?.offer.peer) ?? alice;
    assert.equal(catalogue.add(signedBy(owner, next(1)), "gossip"), true);
    assert.equal(catalogue.all().length, 2);
    clock.pass(600_000);
    for (const one of [alice, bob]) {
      assert.equal(catalogue.add(signedBy(one, { seq: BigInt(startMs + 600_000), expiresMs: startMs + 1_200_000 }), "gossip"), true);
    }
  });

  test("who comes in masses displaces their own kind: not another country, and none with a bond", async () => {
    const honest = Array.from({ length: 8 }, (_, index) => identity(index + 1));
    const addresses = new Set<string>(honest.map(({ address }) => address));
    const { catalogue } = await open(20, (address) => (addresses.has(address) ? "bonded" : "unknown"));
    for (const one of honest.slice(0, 4)) catalogue.add(signedBy(one, { country: "DE" }), "gossip");
    for (let index = 0; index < 150; index++) catalogue.add(signedBy(identity(index + 20), { country: "DE" }), "gossip");
    for (const one of honest.slice(4)) catalogue.add(signedBy(one, { country: "JP" }), "gossip");
    assert.equal(catalogue.all().length, 20);
    for (const one of honest) assert.ok(catalogue.get(one.peerId), "an exit with a bond was displaced");

    const free = await open(20);
    for (const one of honest) free.catalogue.add(signedBy(one, { country: "JP" }), "gossip");
    for (let index = 0; index < 150; index++) free.catalogue.add(signedBy(identity(index + 20), { country: "DE" }), "gossip");
    for (const one of honest) assert.ok(free.catalogue.get(one.peerId), "an exit of another country was displaced");
  });

  test("of their own kind nobody can choose which: neither the first nor the last stay", async () => {
    const survivors = async () => {
      const { catalogue } = await open(20);
      for (let index = 0; index < 100; index++) catalogue.add(signedBy(identity(index + 1)), "gossip");
      return Array.from({ length: 100 }, (_, index) => catalogue.get(identity(index + 1).peerId) !== undefined);
    };
    const [one, other] = [await survivors(), await survivors()];
    assert.equal(one.filter(Boolean).length, 20);
    assert.notDeepEqual(one, other, "two nodes keep the same");
    assert.ok(!one.slice(0, 20).every(Boolean) && !one.slice(80).every(Boolean));
  });
});
