import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { isMystError } from "../../../src/lib/errors.ts";
import { describe } from "../../support/harness.ts";
import { isConnected, soon, startPeer, startRelay, until } from "../support.ts";

/** A peer that reaches another through a relay of its own. */
async function pair() {
  await using undo = new AsyncDisposableStack();
  const other = undo.use(await startPeer({ gossip: false, dht: false }));
  const peer = undo.use(await startPeer({ listen: [], gossip: false, dht: false }));
  const relay = await startRelay(other);
  undo.defer(() => relay.close());
  const { peerId } = other.network;
  await other.network.answer("hello", { maxQuestion: 10, maxAnswer: 10 }, async (question) => question);
  await peer.network.connect(peerId, [relay.address], soon());
  await until("connected", () => isConnected(peer, other));
  const hello = (ms: number) => peer.network.ask(peerId, "hello", Uint8Array.of(1), soon(ms));
  const opened = undo.move();
  return { other, peer, relay, peerId, hello, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

describe("network: whether a peer is still there", (test) => {
  test("a ping tells how long there and back, within the time given, and dials nobody", async () => {
    await using p = await pair();
    assert.ok((await p.peer.network.ping(p.peerId, soon())) >= 0);
    p.relay.silence();
    await assert.rejects(p.peer.network.ping(p.peerId, soon(200)), (error) => isMystError(error, "PEER_TIMEOUT"));
    p.peer.network.hangUp(p.peerId);
    await until("it is gone", () => !isConnected(p.peer, p.other));
    await assert.rejects(p.peer.network.ping(p.peerId, soon()), (error) => isMystError(error, "PEER_UNREACHABLE"));
    assert.ok(!isConnected(p.peer, p.other));
  });

  test("a second connection takes the place of one that leads nowhere any more", async () => {
    await using p = await pair();
    p.relay.silence();
    await assert.rejects(p.hello(200));
    const made = await p.peer.network.redial(p.peerId, [p.relay.address], soon());
    made.take();
    assert.deepEqual(await p.hello(5_000), Uint8Array.of(1));
    assert.ok(isConnected(p.peer, p.other));
  });

  test("one that is not needed goes again, and the first goes on", async () => {
    await using p = await pair();
    const made = await p.peer.network.redial(p.peerId, [p.relay.address], soon());
    made.drop();
    assert.deepEqual(await p.hello(5_000), Uint8Array.of(1));
    assert.equal(p.peer.network.peers().length, 1);
  });

  test("that nobody listens there any more is told apart from silence", async () => {
    await using p = await pair();
    p.relay.close();
    await assert.rejects(
      p.peer.network.redial(p.peerId, [p.relay.address], soon()),
      (error) => isMystError(error, "PEER_UNREACHABLE") && error.meta.refused === true,
    );
    const mute = createServer().listen(0, "127.0.0.1");
    await once(mute, "listening");
    const address = `/ip4/127.0.0.1/tcp/${(mute.address() as { port: number }).port}`;
    await assert.rejects(
      p.peer.network.redial(p.peerId, [address], soon(200)),
      (error) => isMystError(error, "PEER_TIMEOUT") && error.meta.refused === undefined,
    );
    mute.close();
  });
});
