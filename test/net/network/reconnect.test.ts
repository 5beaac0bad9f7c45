import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isMystError } from "../../../src/lib/errors.ts";
import { describe } from "../../support/harness.ts";
import { isConnected, soon, startPeer, startRelay, until } from "../support.ts";

/** the address with its port, for a peer that comes back on it */
const portOf = (address: string | undefined) => [String(address).split("/p2p/")[0] as string];

describe("network: staying connected", (test) => {
  test("a consumer that listens nowhere and a peer on loopback connect, and each sees the other", async () => {
    await using boot = await startPeer();
    await using consumer = await startPeer({ listen: [], bootstrap: boot.network.addresses() });
    await until("both see it", () => isConnected(consumer, boot) && isConnected(boot, consumer));
    assert.deepEqual(consumer.network.addresses(), []);
    assert.equal(consumer.network.peers()[0]?.direction, "outbound");
    assert.equal(boot.network.peers()[0]?.direction, "inbound");
    // and back over the connection that the consumer made
    await consumer.network.answer("hello", { maxQuestion: 10, maxAnswer: 10 }, async (question) => question);
    assert.deepEqual(await boot.network.ask(consumer.network.peerId, "hello", Uint8Array.of(1), soon()), Uint8Array.of(1));
  });

  test("when the bootstrap peer restarts, those who knew it come back by themselves", async () => {
    const first = await startPeer();
    const listen = portOf(first.network.addresses()[0]);
    await using peer = await startPeer({ bootstrap: first.network.addresses() });
    await using consumer = await startPeer({ listen: [], bootstrap: first.network.addresses() });
    const gone: string[] = [];
    peer.network.onDisconnect((who) => gone.push(who));
    await until("connected", () => isConnected(peer, first) && isConnected(consumer, first));
    await first[Symbol.asyncDispose]();
    await until("it is missed", () => gone.includes(first.network.peerId) && !isConnected(consumer, first));
    // long enough for them to try in vain
    await new Promise((resolve) => setTimeout(resolve, 2500));
    await using second = await startPeer({ identity: first.identity, listen });
    await until("both are back", () => isConnected(peer, second) && isConnected(consumer, second), 20_000);
  });

  test("a node that ran before finds its peers without a bootstrap peer", async () => {
    await using peer = await startPeer();
    const directory = await mkdtemp(join(tmpdir(), "mystnode-net-"));
    try {
      const before = await startPeer({ directory, keep: true, listen: [], bootstrap: peer.network.addresses() });
      await until("connected", () => isConnected(before, peer));
      await before[Symbol.asyncDispose]();
      await using again = await startPeer({ directory, listen: [] });
      await until("connected again", () => isConnected(again, peer));
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  test("a peer that falls silent without a word is hung up on, and one that answers is not", async () => {
    await using silent = await startPeer();
    const relay = await startRelay(silent);
    try {
      await using lively = await startPeer();
      await using peer = await startPeer({ listen: [], bootstrap: lively.network.addresses(), ping: { everyMs: 300, withinMs: 2000 } });
      await peer.network.connect(silent.network.peerId, [relay.address], soon());
      await until("both are connected", () => isConnected(peer, silent) && isConnected(peer, lively));
      await until("a time was measured", () => peer.network.peers().every(({ rttMs }) => rttMs !== undefined));
      relay.silence();
      await until("it is hung up on", () => !isConnected(peer, silent));
      await until("the other one is not", () => isConnected(peer, lively));
    } finally {
      relay.close();
    }
  });

  test("peers of another network are hung up on, and do not count as connections", async () => {
    await using ours = await startPeer();
    await using theirs = await startPeer({ protocolPrefix: "/mystnode/other", bootstrap: ours.network.addresses() });
    await theirs.network.connect(ours.network.peerId, ours.network.addresses(), soon());
    await ours.network.answer("hello", { maxQuestion: 10, maxAnswer: 10 }, async (question) => question);
    await assert.rejects(theirs.network.ask(ours.network.peerId, "hello", new Uint8Array(), soon()), (error) =>
      isMystError(error, "PEER_REFUSED"),
    );
    assert.deepEqual(ours.network.peers(), []);
    assert.deepEqual(theirs.network.peers(), []);
  });

  test("a port that is taken, an address that is none", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    try {
      await assert.rejects(startPeer({ listen: [`/ip4/127.0.0.1/tcp/${port}`] }), (error) => isMystError(error, "PORT_IN_USE"));
      await assert.rejects(startPeer({ listen: ["127.0.0.1:0"] }), (error) => isMystError(error, "BAD_VALUE"));
    } finally {
      server.close();
    }
  });

  test("a process that has stopped its network ends by itself", async () => {
    const script = `
      const { startPeer, until, isConnected } = await import(${JSON.stringify(new URL("../support.ts", import.meta.url).href)});
      const boot = await startPeer();
      const peer = await startPeer({ bootstrap: boot.network.addresses() });
      await until("connected", () => isConnected(peer, boot));
      void peer.network.provide(Uint8Array.of(1), AbortSignal.timeout(600000));
      await peer[Symbol.asyncDispose]();
      await boot[Symbol.asyncDispose]();
    `;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", script], { stdio: ["ignore", "ignore", "pipe"] });
    let errors = "";
    child.stderr.on("data", (chunk) => {
      errors += chunk;
    });
    const timer = setTimeout(() => child.kill("SIGKILL"), 25_000);
    const [status] = await once(child, "exit");
    clearTimeout(timer);
    assert.equal(status, 0, errors || "it did not end by itself");
    assert.equal(errors, "");
  });
});
