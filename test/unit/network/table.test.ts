import assert from "node:assert/strict";
import type { KadDHT } from "@libp2p/kad-dht";
import { guardTable } from "../../../src/network/dht.ts";
import { describe } from "../../support/harness.ts";

type Entry = { peerId: { toString(): string }; kadId: Uint8Array };

/** A table of one bucket that takes in whom its verification passes; each peer is connected, once it was pinged, from the address in its name. */
function tableOf() {
  const peers: Entry[] = [];
  const connected = new Set<string>();
  let pings = 0;
  const kb = {
    toIterable: () => peers,
    _determineBucket: () => ({ peers: peers.slice(-2) }),
    verify: async ({ peerId }: Entry, __?: unknown) => {
      pings += 1;
      connected.add(peerId.toString());
      return true;
    },
  };
  guardTable({ routingTable: { kb } } as unknown as KadDHT, (peer) =>
    connected.has(peer.toString()) ? [`/ip4/${peer.toString().split(" ")[0]}/tcp/1`] : [],
  );
  const add = async (name: string) => {
    const entry = { peerId: { toString: () => name }, kadId: new Uint8Array() };
    const admitted = await kb.verify(entry);
    if (admitted) peers.push(entry);
    return admitted;
  };
  return { add, peers, connect: (name: string) => connected.add(name), pings: () => pings };
}

describe("network/dht: the routing table", (test) => {
  test("takes two of one network into a bucket, three into the table, and others beside them", async () => {
    const { add, pings } = tableOf();
    assert.equal(await add("198.51.100.1 a"), true);
    assert.equal(await add("198.51.100.2 b"), true);
    assert.equal(await add("198.51.100.3 c"), false);
    assert.equal(await add("203.0.113.1 d"), true);
    assert.equal(await add("198.51.100.3 c"), true);
    assert.equal(await add("203.0.113.2 e"), true);
    assert.equal(await add("192.0.2.1 f"), true);
    assert.equal(await add("198.51.100.4 g"), false);
    assert.equal(pings(), 7, "libp2p's own verification comes first");
  });

  test("who is connected has proven its address, and is taken in without a ping, by the same rule", async () => {
    const { add, connect, pings } = tableOf();
    for (const name of ["198.51.100.1 a", "198.51.100.2 b", "198.51.100.3 c"]) connect(name);
    assert.deepEqual([await add("198.51.100.1 a"), await add("198.51.100.2 b"), await add("198.51.100.3 c")], [true, true, false]);
    assert.equal(pings(), 0);
    await add("203.0.113.1 d");
    assert.equal(pings(), 1);
  });

  test("room is made when somebody leaves", async () => {
    const { add, peers } = tableOf();
    for (const name of ["198.51.100.1 a", "192.0.2.1 x", "198.51.100.2 b", "203.0.113.1 y", "198.51.100.3 c"]) await add(name);
    assert.equal(peers.length, 5);
    assert.equal(await add("198.51.100.4 d"), false);
    peers.splice(0, 1);
    peers.push(...peers.splice(0, 1));
    assert.equal(await add("198.51.100.4 d"), true);
  });

  test("on loopback everybody is let in", async () => {
    const { add } = tableOf();
    for (let index = 0; index < 30; index++) assert.equal(await add(`127.0.0.1 ${index}`), true);
  });
});
