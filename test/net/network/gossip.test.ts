import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createIdentity } from "../../../src/identity/identity.ts";
import type { Topic } from "../../../src/network/network.ts";
import { describe } from "../../support/harness.ts";
import { isConnected, startPeer, type TestPeer, until } from "../support.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** Texts; those that begin with "bad" are rejected, with "old" ignored, with "throw" make the validator throw. */
const topic = (heard: string[], change: Partial<Topic<string>> = {}): Topic<string> => ({
  name: "talk",
  maxBytes: 100,
  validate: async (bytes) => {
    const value = decode(bytes);
    if (value.startsWith("throw")) throw new Error("oops");
    return { validity: value.startsWith("bad") ? "reject" : value.startsWith("old") ? "ignore" : "accept", value };
  },
  onMessage: (value) => heard.push(value),
  ...change,
});

/** A peer in the middle, and others that know only it; all of them on the topic. */
async function star(count: number) {
  const hub = await startPeer({ dht: false });
  const others = await Promise.all(
    Array.from({ length: count }, () => startPeer({ dht: false, listen: [], bootstrap: hub.network.addresses() })),
  );
  const peers = [hub, ...others];
  const heard = peers.map((): string[] => []);
  const reachable = new Set<string>();
  hub.network.onSubscriber("talk", (peer) => reachable.add(peer));
  for (const [index, { network }] of peers.entries()) await network.subscribe(topic(heard[index] as string[]));
  const links = new Set<TestPeer>();
  for (const other of others) other.network.onSubscriber("talk", () => links.add(other));
  await until("all are connected", () => others.every((other) => isConnected(other, hub)));
  await until("the hub reaches all", () => reachable.size === count);
  return {
    hub,
    others,
    heard,
    [Symbol.asyncDispose]: async () => void (await Promise.all(peers.map((peer) => peer[Symbol.asyncDispose]()))),
  };
}

describe("network: gossip", (test) => {
  test("a message reaches all, once, also those who are no neighbours", async () => {
    await using net = await star(4);
    const [first] = net.others as [TestPeer];
    await until("it is sent", async () => (await first.network.publish("talk", encode("hello"))) > 0);
    await until("all heard it", () => [net.heard[0], ...net.heard.slice(2)].every((heard) => heard?.length === 1));
    assert.deepEqual(net.heard[1], [], "not the one who said it");
  });

  test("whoever sends what is rejected is banned at once and for good; the honest stay and are heard", async () => {
    await using net = await star(3);
    const [villain, honest, listener] = net.others as [TestPeer, TestPeer, TestPeer];
    await until("honest is heard", async () => (await honest.network.publish("talk", encode("first"))) > 0);
    for (let index = 0; index < 20; index++) await villain.network.publish("talk", encode(`bad ${index}`));
    await until("the villain is out", () => !isConnected(net.hub, villain));
    // it dials again and again, being short of peers
    let returns = 0;
    net.hub.network.onConnect((peer) => {
      if (peer === villain.network.peerId) returns += 1;
    });
    await new Promise((resolve) => setTimeout(resolve, 3000));
    assert.equal(returns, 0);
    assert.ok(isConnected(net.hub, honest) && isConnected(net.hub, listener));
    await honest.network.publish("talk", encode("second"));
    await until("honest is heard still", () => net.heard[3]?.join() === "first,second");
    assert.ok(net.heard.every((heard) => !heard.some((text) => text.startsWith("bad"))));
  });

  test("a message over the topic's size is rejected; one that is merely old, or that we cannot check, costs nothing", async () => {
    await using net = await star(2);
    const [talker, other] = net.others as [TestPeer, TestPeer];
    for (let index = 0; index < 20; index++) {
      await talker.network.publish("talk", encode(`old ${index}`));
      await talker.network.publish("talk", encode(`throw ${index}`));
    }
    await talker.network.publish("talk", encode("fine"));
    await until("it is heard", () => net.heard[2]?.includes("fine") === true);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    assert.ok(isConnected(net.hub, talker), "an honest relay of old messages was banned");
    for (let index = 0; index < 20; index++) await other.network.publish("talk", encode(`${index} ${"x".repeat(100)}`));
    await until("it is out", () => !isConnected(net.hub, other));
  });

  test("a neighbour's quota bounds what is checked, and using it up costs no standing", async () => {
    await using hub = await startPeer({ dht: false });
    await using talker = await startPeer({ dht: false, listen: [], bootstrap: hub.network.addresses() });
    const heard: string[] = [];
    let checked = 0;
    const counting = topic(heard, { name: "quota", quota: { burst: 10, perSecond: 1 } });
    await hub.network.subscribe({
      ...counting,
      validate: (bytes, from) => {
        checked += 1;
        return counting.validate(bytes, from);
      },
    });
    await until("it is sent", async () => (await talker.network.publish("quota", encode("0"))) > 0);
    for (let index = 1; index < 200; index++) await talker.network.publish("quota", encode(String(index)));
    await until("some came", () => heard.length >= 10);
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.ok(checked >= 10 && checked < 20, `${checked} of 200 checked`);
    assert.ok(isConnected(hub, talker));
  });

  test("whoever is gone for a moment may come back, in however many topics it has been", async () => {
    await using hub = await startPeer({ dht: false });
    const names = Array.from({ length: 19 }, (_, i) => `talk ${i}`);
    for (const name of names) await hub.network.subscribe(topic([], { name }));
    const identity = createIdentity(randomBytes(32));
    const join = async () => {
      const peer = await startPeer({ identity, dht: false, listen: [], bootstrap: hub.network.addresses() });
      const reached = new Set<string>();
      for (const name of names) {
        peer.network.onSubscriber(name, () => reached.add(name));
        await peer.network.subscribe(topic([], { name }));
      }
      await until("they hear each other", () => reached.size === names.length);
      // meshes form once a second
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      return peer;
    };
    const before = await join();
    for (const name of names) await before.network.unsubscribe(name);
    await new Promise((resolve) => setTimeout(resolve, 200));
    await before[Symbol.asyncDispose]();
    await using again = await join();
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    assert.ok(isConnected(hub, again), "it was banned");
  });

  test("who subscribes is told of, once messages reach it", async () => {
    await using hub = await startPeer({ dht: false });
    let reached = -1;
    hub.network.onSubscriber("late", async () => {
      reached = await hub.network.publish("late", encode("welcome"));
    });
    await using late = await startPeer({ dht: false, listen: [], bootstrap: hub.network.addresses() });
    const heard: string[] = [];
    await late.network.subscribe(topic(heard, { name: "late" }));
    await until("it heard the welcome", () => heard.includes("welcome"));
    assert.equal(reached, 1);
  });
});
