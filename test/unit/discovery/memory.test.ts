import assert from "node:assert/strict";
import { openMemory } from "../../../src/discovery/memory.ts";
import { describe } from "../../support/harness.ts";
import { fakeClock, identity, memoryStore, signedBy, startMs } from "./offers.ts";

const day = 24 * 3_600_000;
const open = async (store = memoryStore(), clock = fakeClock(), most?: number) => ({
  store,
  clock,
  memory: await openMemory({ store, clock }, most),
});
const [alice, bob, carol] = [identity(1), identity(2), identity(3)] as const;

describe("discovery/memory", (test) => {
  test("an exit is known by its last offer long after that has expired, over a restart, where it was", async () => {
    const { store, clock, memory } = await open();
    memory.note([signedBy(alice, { country: "DE" }), signedBy(bob, { services: [] })]);
    await memory.save();
    clock.pass(20 * day);
    const again = (await open(store, clock)).memory;
    assert.deepEqual(again.recall({}), [{ peer: alice.peerId, addresses: signedBy(alice).offer.addresses }]);
    assert.equal(again.recall({ country: "DE", service: "proxy", peer: alice.peerId }).length, 1);
    assert.deepEqual(again.recall({ country: "US" }), []);
    assert.deepEqual(again.recall({ service: "wireguard" }), []);
    assert.deepEqual(again.recall({ exclude: [alice.peerId] }), []);
    assert.equal(again.recall({ maxPerGiB: 0n }).length, 1, "its price may be another by now");
    clock.pass(11 * day);
    assert.deepEqual((await open(store, clock)).memory.recall({}), []);
  });

  test("where it has moved to counts; those used first, then those seen last", async () => {
    const { memory, clock } = await open();
    memory.note([alice, bob, carol].map((one) => signedBy(one)));
    const moved = [`/ip4/127.0.0.2/tcp/4010/p2p/${bob.peerId}`];
    clock.pass(1000);
    memory.note([signedBy(bob, { addresses: moved, seq: BigInt(startMs + 1) })]);
    memory.used(carol.peerId);
    assert.deepEqual(
      memory.recall({}).map(({ peer }) => peer),
      [carol.peerId, bob.peerId, alice.peerId],
    );
    assert.deepEqual(memory.recall({ peer: bob.peerId })[0]?.addresses, moved);
  });

  test("bounded: those used stay, and the countries with few", async () => {
    const { memory, store } = await open(memoryStore(), fakeClock(), 10);
    memory.note([signedBy(alice, { country: "DE" }), signedBy(bob, { country: "JP" })]);
    memory.used(alice.peerId);
    memory.note(Array.from({ length: 100 }, (_, index) => signedBy(identity(index + 10), { country: "DE" })));
    assert.equal(memory.recall({}).length, 10);
    assert.equal(memory.recall({ peer: alice.peerId }).length, 1);
    assert.equal(memory.recall({ country: "JP" }).length, 1);
    await memory.save();
    assert.equal(store.rows.size, 10);
  });

  test("what has not changed is not written again and again; what is damaged is dropped", async () => {
    const { memory, store, clock } = await open();
    memory.note([signedBy(alice)]);
    await memory.save();
    store.rows.clear();
    for (let seq = 1; seq < 5; seq++) memory.note([signedBy(alice, { seq: BigInt(startMs + seq) })]);
    await memory.save();
    assert.equal(store.rows.size, 0);
    clock.pass(2 * 3_600_000);
    memory.note([signedBy(alice, { seq: BigInt(startMs + 9) })]);
    await memory.save();
    assert.equal(store.rows.size, 1);
    store.rows.set(`exit/${bob.peerId}`, Uint8Array.of(1));
    const again = (await open(store, clock)).memory;
    await again.save();
    assert.deepEqual([...store.rows.keys()], [`exit/${alice.peerId}`]);
  });
});
