import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { systemClock } from "../../../../src/lib/clock.ts";
import { silentLogger } from "../../../../src/lib/ports.ts";
import type { ByteStream } from "../../../../src/network/network.ts";
import { createProxyConsumer } from "../../../../src/services/proxy/consumer.ts";
import {
  headerCodec,
  maxReply,
  prefixed,
  prefixedReader,
  replyCodec,
  sessionBytes,
  streamProtocol,
} from "../../../../src/services/proxy/protocol.ts";
import { createProxyProvider } from "../../../../src/services/proxy/provider.ts";
import type { Resolve } from "../../../../src/services/proxy/resolve.ts";
import { networkPair } from "../../../support/byte-pipe.ts";
import { describe } from "../../../support/harness.ts";
import { inMemory, type Pair, pause, proxyRig, type RigOptions, readAll, startTarget } from "../../../support/proxy-rig.ts";
import { until } from "../../../support/until.ts";

const rigWith = (options?: RigOptions) => proxyRig(inMemory(), options);
const answer = (reply: number, code = "DESTINATION_UNREACHABLE") => ({ code, meta: { reply } });
const signal = () => AbortSignal.timeout(5_000);

describe("services/proxy: what cannot be had, and how a program is told", (test) => {
  test("each reason has its SOCKS reply", async () => {
    const never: Resolve = (_, until) => new Promise((_, reject) => until.addEventListener("abort", () => reject(until.reason)));
    const resolve: Resolve = async (name, until) => {
      if (name === "slow.test") return never(name, until);
      return { "private.test": ["10.0.0.1", "192.168.1.1"], "v6.test": ["2606:4700::1"] }[name] ?? [];
    };
    await using rig = await rigWith({ resolve, provider: { dialTimeoutMs: 200, egressAddress: "127.0.0.1" } });
    await using gone = await startTarget(() => undefined);
    const { port } = gone;
    await gone[Symbol.asyncDispose]();
    await assert.rejects(rig.connect({ port }), answer(5), "refused by the target");
    await assert.rejects(rig.connect({ host: "10.1.2.3", port }), answer(2, "POLICY_DENIED"));
    await assert.rejects(rig.connect({ host: "private.test", port }), answer(2, "POLICY_DENIED"));
    await assert.rejects(rig.connect({ host: "127.0.0.1", port: 25 }), answer(2, "POLICY_DENIED"));
    await assert.rejects(rig.connect({ host: "nowhere.test", port }), answer(4));
    await assert.rejects(rig.connect({ host: "no/name", port }), answer(4));
    await assert.rejects(rig.connect({ host: "0x7f.1", port }), answer(4));
    await assert.rejects(rig.connect({ host: "v6.test", port }), answer(3), "no IPv6 from an IPv4 egress");
    await assert.rejects(rig.connect({ host: "slow.test", port }), answer(6));
    assert.equal(rig.grant.usedBytes(), 0n);
    // none of it was an answer
    assert.ok(rig.handle.unanswered().nowMs > 0);
  });

  test("a name is resolved once, and what was judged is what is dialled", async () => {
    await using good = await startTarget((socket) => socket.end("good"), "127.0.0.1");
    const asked: string[] = [];
    const resolve: Resolve = async (name) => {
      asked.push(name);
      // the first answer has a forbidden address too; a second one would have nothing else
      return asked.length === 1 ? ["127.0.0.2", "127.0.0.1", "10.0.0.1"] : ["127.0.0.2"];
    };
    await using rig = await rigWith({ resolve, provider: { allow: [`127.0.0.1:${good.port}`] } });
    const socket = await rig.connect({ host: "rebind.test", port: good.port });
    assert.equal(String(await readAll(socket)), "good");
    socket.end();
    assert.deepEqual(asked, ["rebind.test"]);
    await assert.rejects(rig.connect({ host: "rebind.test", port: good.port }), answer(2, "POLICY_DENIED"));
  });

  test("an address is dialled although one before it does not answer", async () => {
    await using target = await startTarget((socket) => socket.end("here"));
    const resolve: Resolve = async () => ["127.0.0.3", "127.0.0.4", "127.0.0.1"];
    await using rig = await rigWith({ resolve });
    const socket = await rig.connect({ host: "many.test", port: target.port });
    assert.equal(String(await readAll(socket)), "here");
    socket.end();
  });

  test("connections leave from the egress address", async () => {
    let from: string | undefined;
    await using target = await startTarget((socket) => {
      from = socket.remoteAddress;
      socket.end();
    });
    await using rig = await rigWith({ provider: { egressAddress: "127.0.0.9" } });
    const socket = await rig.connect(target);
    await readAll(socket);
    socket.end();
    assert.equal(from, "127.0.0.9");
  });

  test("over the number of connections of a session there are no more, until one ends", async () => {
    await using target = await startTarget((socket) => socket.pipe(socket));
    await using rig = await rigWith({ provider: { maxStreams: 3 } });
    const open = await Promise.all([1, 2, 3].map(() => rig.connect(target)));
    await assert.rejects(rig.connect(target), answer(1));
    open[0]?.end();
    open[0]?.resume();
    await until(() => target.sockets.size === 2);
    await until(async () =>
      rig.connect(target).then(
        (socket) => open.push(socket) > 0,
        () => false,
      ),
    );
    for (const socket of open) socket.destroy();
  });

  test("a connection without traffic is given up", async () => {
    await using target = await startTarget((socket) => socket.resume());
    await using rig = await rigWith({ provider: { idleMs: 100 } });
    const socket = await rig.connect(target);
    await new Promise((resolve) => socket.once("close", resolve).resume());
    await until(() => target.sockets.size === 0);
  });
});

describe("services/proxy: who may use an exit", (test) => {
  test("a session of another peer is no session", async () => {
    await using target = await startTarget((socket) => socket.end("secret"));
    await using rig = await rigWith({ admitted: "somebody else" });
    await assert.rejects(rig.connect(target), answer(1));
    assert.equal(target.sockets.size, 0);
  });

  test("nothing is opened for an unknown session, a repeated number, garbage, or a header that never comes", async () => {
    let opened = 0;
    await using target = await startTarget((socket) => {
      opened += 1;
      socket.resume();
    });
    const pair = inMemory();
    await using rig = await proxyRig(pair, { provider: { headerTimeoutMs: 100 } });
    const streams: ByteStream[] = [];
    const ask = async (bytes: Uint8Array) => {
      const stream = await pair.consumer.openBytes("exit", streamProtocol, signal());
      streams.push(stream);
      await stream.write(bytes);
      return prefixedReader(stream, replyCodec, maxReply).first();
    };
    const header = (session: string, id: number) =>
      prefixed(headerCodec, { session: sessionBytes(session), id, host: "127.0.0.1", port: target.port });
    assert.deepEqual(await ask(header("ee".repeat(16), 1)), { code: "session" });
    for (const garbage of [Uint8Array.of(255, 255), Uint8Array.of(0, 1, 0), new Uint8Array(600), Uint8Array.of(1)])
      await assert.rejects(ask(garbage), { code: "PEER_UNREACHABLE" });
    assert.equal(opened, 0);
    const known = "cd".repeat(16);
    await rig.provider.admit({ sessionId: known, peer: "consumer" });
    assert.deepEqual(await ask(header(known, 7)), { code: "ok" });
    assert.deepEqual(await ask(header(known, 7)), { code: "busy" });
    await assert.rejects(rig.provider.admit({ sessionId: known, peer: "consumer" }), { code: "PEER_REFUSED" });
    assert.equal(opened, 1);
    for (const stream of streams) stream.abort(new Error("done"));
    await until(() => target.sockets.size === 0);
  });

  test("rules and addresses that are none are refused at once", () => {
    const [, network] = networkPair();
    const make = (options: object) =>
      createProxyProvider({ network, log: silentLogger, clock: systemClock }, { allow: [], block: [], ...options });
    assert.throws(() => make({ allow: ["localhost:80"] }), { code: "BAD_VALUE" });
    assert.throws(() => make({ block: ["x"] }), { code: "BAD_VALUE" });
    assert.throws(() => make({ egressAddress: "eth0" }), { code: "BAD_VALUE" });
    assert.match(make({ block: ["9.9.9.9"] }).policySummary(), /public addresses only.*1 more blocked/);
  });
});

describe("services/proxy: the SOCKS server", (test) => {
  const socksOf = (rig: { handle: { endpoint: Record<string, string> } }) => Number(rig.handle.endpoint.socks?.split(":")[1]);
  const speak = async (port: number, bytes: Uint8Array | string): Promise<Buffer> => {
    const socket = connect({ port, host: "127.0.0.1" });
    socket.write(bytes);
    return readAll(socket);
  };

  test("garbage and oversized handshakes are hung up on, with RFC 1928's answer where there is one", async () => {
    await using rig = await rigWith();
    const port = socksOf(rig);
    assert.equal((await speak(port, Uint8Array.of(4, 1, 0, 80, 127, 0, 0, 1, 0))).length, 0);
    assert.equal((await speak(port, new Uint8Array(5000).fill(4))).length, 0);
    assert.deepEqual([...(await speak(port, Uint8Array.of(5, 1, 2)))], [5, 255]);
    assert.deepEqual([...(await speak(port, Uint8Array.of(5, 1, 0, 5, 9, 0, 1, 0, 0, 0, 0, 0, 0)))], [5, 0, 5, 7, 0, 1, 0, 0, 0, 0, 0, 0]);
    assert.deepEqual([...(await speak(port, Uint8Array.of(5, 1, 0, 5, 2, 0, 1, 0, 0, 0, 0, 0, 0)))].slice(2, 4), [5, 7]);
    assert.deepEqual([...(await speak(port, Uint8Array.of(5, 1, 0, 5, 1, 0, 9, 0, 0, 0, 0, 0, 0)))].slice(2, 4), [5, 8]);
  });

  test("a slow program is hung up on; one that sends byte by byte, and ahead, is served", async () => {
    await using target = await startTarget((socket) => socket.pipe(socket));
    await using rig = await rigWith({ consumer: { handshakeMs: 300 } });
    const slow = connect({ port: socksOf(rig), host: "127.0.0.1" });
    slow.write(Uint8Array.of(5, 1));
    await new Promise((resolve) => slow.once("close", resolve).resume());

    const bytes = [5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, target.port >> 8, target.port & 255, ...Buffer.from("early bird")];
    const socket = connect({ port: socksOf(rig), host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
    const all = readAll(socket);
    for (const byte of bytes) {
      socket.write(Uint8Array.of(byte));
      await pause(1);
    }
    socket.end();
    assert.equal(String((await all).subarray(12)), "early bird");
  });

  test("a port that is taken is PORT_IN_USE, with what to do", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as { port: number };
    await assert.rejects(rigWith({ consumer: { listen: `127.0.0.1:${port}` } }), (error: { code: string; hint: string }) => {
      assert.equal(error.code, "PORT_IN_USE");
      assert.match(error.hint, /--proxy 127\.0\.0\.1:0/);
      return true;
    });
    taken.close();
  });

  test("it listens where other machines reach it only when asked to", async () => {
    await assert.rejects(rigWith({ consumer: { listen: "0.0.0.0:0" } }), { code: "BAD_VALUE" });
    await using rig = await rigWith({ consumer: { listen: "0.0.0.0:0", allowRemote: true } });
    assert.match(rig.handle.endpoint.socks ?? "", /^0\.0\.0\.0:\d+$/);
  });

  test("an exit that cannot be reached, or falls silent, ends no more than the connections", async () => {
    const unreachable = {
      ...inMemory(),
      consumer: { openBytes: () => Promise.reject(new Error("gone")), openFrames: () => Promise.reject(new Error("gone")) },
    };
    await using rig = await proxyRig(unreachable as Pair);
    await assert.rejects(rig.connect({ port: 80 }), answer(1));

    const silent = inMemory();
    await silent.exit.handleBytes(streamProtocol, () => new Promise(() => undefined));
    const consumer = createProxyConsumer(
      { network: silent.consumer, log: silentLogger, clock: systemClock },
      { listen: "127.0.0.1:0", requestMs: 100, closeMs: 100 },
    );
    const opening = { sessionId: "ab".repeat(16), peer: "exit", connection: {}, onUsage: () => undefined, signal: signal() };
    const handle = await consumer.open(opening);
    const replied = await speak(Number(handle.endpoint.socks?.split(":")[1]), Uint8Array.of(5, 1, 0, 5, 1, 0, 1, 1, 1, 1, 1, 0, 80));
    assert.deepEqual([...replied].slice(2, 4), [5, 1]);
    assert.equal(await handle.close(), 0n);
  });

  test("closing ends every socket, also those in their handshake or waiting for the exit", async () => {
    const rig = await rigWith({ resolve: () => new Promise(() => undefined), provider: { dialTimeoutMs: 60_000 } });
    const greeting = connect({ port: socksOf(rig), host: "127.0.0.1" });
    greeting.write(Uint8Array.of(5));
    const waiting = connect({ port: socksOf(rig), host: "127.0.0.1" });
    waiting.write(Uint8Array.of(5, 1, 0, 5, 1, 0, 3, 1, 97, 0, 80));
    await until(() => rig.handle.unanswered().nowMs > 0);
    const closed = [greeting, waiting].map(
      (socket: Socket) =>
        new Promise((resolve) =>
          socket
            .on("error", () => undefined)
            .once("close", resolve)
            .resume(),
        ),
    );
    await rig[Symbol.asyncDispose]();
    await Promise.all(closed);
  });

  test("a session's signal closes it", async () => {
    const pair = inMemory();
    const ended = new AbortController();
    const consumer = createProxyConsumer({ network: pair.consumer, log: silentLogger, clock: systemClock }, { listen: "127.0.0.1:0" });
    await using rig = await proxyRig(pair);
    const handle = await consumer.open({
      sessionId: "ab".repeat(16),
      peer: "exit",
      connection: {},
      onUsage: () => undefined,
      signal: ended.signal,
    });
    ended.abort();
    await handle.close();
    const refused = connect({ port: Number(handle.endpoint.socks?.split(":")[1]), host: "127.0.0.1" });
    const [error] = await once(refused, "error").catch((error) => [error]);
    assert.equal((error as { code: string }).code, "ECONNREFUSED");
    assert.equal(rig.grant.usedBytes(), 0n);
  });
});
