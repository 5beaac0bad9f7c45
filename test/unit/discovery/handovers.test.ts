import assert from "node:assert/strict";
import { followHandovers } from "../../../src/discovery/handovers.ts";
import { signHandover } from "../../../src/identity/handover.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { silentLogger } from "../../../src/lib/ports.ts";
import type { Topic } from "../../../src/network/network.ts";
import { describe } from "../../support/harness.ts";
import { identity, market, memoryStore } from "./offers.ts";

const [alice, bob, carol, dave] = [identity(1), identity(2), identity(3), identity(4)] as const;
type One = typeof alice;
const over = (from: One, to: One, network = market) => signHandover(from, to, network, Date.now());

async function start({ store = memoryStore(), known = [alice, bob, carol], own = [] as Uint8Array[], self = "me" } = {}) {
  const refused: string[] = [];
  const complaints: string[] = [];
  const told: string[] = [];
  const asked: string[] = [];
  const published: Uint8Array[] = [];
  let topic: Topic<unknown> | undefined;
  let answer: (bytes: Uint8Array, from: string) => Promise<Uint8Array> = async () => new Uint8Array();
  let connect: (peer: string) => void = () => undefined;
  let subscribed: (peer: string) => void = () => undefined;
  const handovers = await followHandovers(
    {
      network: {
        peerId: self,
        subscribe: async <T>(wanted: Topic<T>) => {
          topic = wanted as Topic<unknown>;
        },
        publish: async (_, bytes) => published.push(bytes),
        ask: async (peer) => {
          asked.push(peer);
          return new Uint8Array();
        },
        onSubscriber: (_, listener) => {
          subscribed = listener;
          return () => undefined;
        },
        answer: async (_, __, answerer) => {
          answer = answerer;
        },
        peers: () => [{ peer: "neighbour", addresses: [], direction: "outbound" as const }],
        onConnect: (listener) => {
          connect = listener;
          return () => undefined;
        },
        refuse: (peer) => void refused.push(peer),
        complain: (peer) => void complaints.push(peer),
      },
      ...{ store, clock: systemClock, log: silentLogger, domain: market },
      isKnown: (peer) => known.some(({ peerId }) => peerId === peer),
      onHandover: ({ from, to }) => told.push(`${from} ${to}`),
    },
    own,
  );
  return {
    ...{ store, handovers, refused, complaints, told, asked, published },
    hear: async (bytes: Uint8Array) => (await topic?.validate(bytes, "them"))?.validity,
    tell: (bytes: Uint8Array) => answer(bytes, "them"),
    connected: (peer: string) => connect(peer),
    subscribed: (peer: string) => subscribed(peer),
    [Symbol.asyncDispose]: handovers.stop,
  };
}

describe("discovery/handovers", (test) => {
  test("a peer that is known goes on under its new key, over several; the old ones are refused, also after a restart", async () => {
    const store = memoryStore();
    {
      await using node = await start({ store });
      assert.equal(await node.hear(over(alice, bob)), "accept");
      assert.equal(await node.hear(over(alice, bob)), "accept", "the same again is passed on");
      await node.tell(over(bob, dave));
      assert.deepEqual(node.told, [`${alice.peerId} ${bob.peerId}`, `${bob.peerId} ${dave.peerId}`]);
      assert.deepEqual(node.refused, [alice.peerId, bob.peerId]);
    }
    await using again = await start({ store, known: [] });
    assert.deepEqual(new Set(again.refused), new Set([alice.peerId, bob.peerId]));
    const { current, now, before, isRetired } = again.handovers;
    assert.equal(now(alice.address), dave.address);
    assert.equal(now(carol.address), carol.address);
    assert.equal(current(alice.peerId), dave.peerId);
    assert.equal(current(carol.peerId), carol.peerId);
    assert.deepEqual(before(dave.address), [bob.address, alice.address]);
    assert.deepEqual(before(alice.address), []);
    assert.equal(isRetired(alice.peerId) && isRetired(bob.peerId) && !isRetired(dave.peerId), true);
  });

  test("the first that is seen stands; none leads in a circle, or two to one; strangers are of no interest", async () => {
    await using node = await start();
    await node.hear(over(alice, bob));
    assert.equal(await node.hear(over(alice, carol)), "ignore");
    assert.equal(await node.hear(over(carol, bob)), "ignore");
    assert.equal(await node.hear(over(bob, alice)), "ignore");
    assert.equal(await node.hear(over(dave, identity(5))), "ignore");
    assert.equal(await node.hear(signHandover(carol, dave, market, Date.now() + 3_600_000)), "ignore");
    assert.equal(node.handovers.current(alice.peerId), bob.peerId);
    assert.deepEqual(node.refused, [alice.peerId]);
  });

  test("one that is not signed by both, or for another network, costs its teller", async () => {
    await using node = await start();
    const elsewhere = over(alice, bob, { ...market, chainId: 1 });
    assert.equal(await node.hear(elsewhere), "reject");
    assert.equal(await node.hear(Uint8Array.of(1, 2)), "reject");
    await assert.rejects(node.tell(elsewhere));
    assert.deepEqual(node.complaints, ["them"]);
    assert.deepEqual(node.refused, []);
  });

  test("our own is told to those connected, to whoever connects, and to all by gossip", async () => {
    const own = over(alice, bob);
    await using node = await start({ own: [own], self: bob.peerId, known: [] });
    node.connected("late");
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(node.asked, ["neighbour", "late"]);
    assert.deepEqual(node.published, [own]);
    node.subscribed("listener");
    assert.deepEqual(node.published, [own, own]);
    assert.deepEqual(node.handovers.before(bob.address), [alice.address]);
    await using silent = await start();
    silent.connected("late");
    assert.deepEqual(silent.asked, []);
  });

  test("a hand-over of the very key in use is no reason to refuse oneself", async () => {
    await using node = await start({ self: alice.peerId });
    await node.hear(over(alice, bob));
    assert.deepEqual(node.refused, []);
    assert.equal(node.handovers.isRetired(alice.peerId), false);
  });
});
