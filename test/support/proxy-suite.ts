import assert from "node:assert/strict";
import type { RegisterTest } from "./harness.ts";
import { proxyEndsSuite } from "./proxy-ends-suite.ts";
import { counting, digest, type MakePair, pattern, pause, proxyRig, readAll, startTarget } from "./proxy-rig.ts";
import { associate, startUdp } from "./socks-datagrams.ts";
import { until } from "./until.ts";

const KiB = 1024;

/** What the proxy must do over any network: run over an in-memory one and over a real one. */
export function proxySuite(register: RegisterTest, makePair: MakePair, { megabytes }: { megabytes: number }): void {
  const test = (name: string, fn: () => Promise<void>) => register(name, fn, { timeoutMs: 120_000 });
  test("carries both directions at once, intact, and both sides count the same", async () => {
    await using pair = await makePair();
    await using rig = await proxyRig(pair);
    const down = pattern(megabytes * KiB * KiB, 1);
    const up = pattern(megabytes * KiB * KiB, 2);
    let arrived = "";
    await using target = await startTarget(async (socket) => {
      socket.end(down);
      arrived = digest(await readAll(socket));
    });
    const client = await rig.connect(target);
    client.end(up);
    assert.equal(digest(await readAll(client)), digest(down));
    await until(() => arrived !== "");
    assert.equal(arrived, digest(up));
    const total = BigInt(down.length + up.length);
    assert.equal(rig.grant.usedBytes(), total);
    assert.equal(await rig.handle.close(), total);
    assert.equal(await rig.grant.end(), total);
    assert.ok(
      rig.told.every((bytes, i) => i === 0 || bytes >= (rig.told[i - 1] ?? 0n)),
      "what is told never falls",
    );
    await until(() => rig.told.at(-1) === total);
  });

  test("each half closes by itself", async () => {
    await using pair = await makePair();
    await using rig = await proxyRig(pair);
    await using asker = await startTarget(async (socket) => {
      const question = await readAll(socket);
      await pause(50);
      socket.end(`answer to ${question}`);
    });
    const client = await rig.connect(asker);
    client.end("question");
    assert.equal(String(await readAll(client)), "answer to question");

    let heard = "";
    await using closer = await startTarget(async (socket) => {
      socket.end("that was all");
      heard = String(await readAll(socket));
    });
    const other = await rig.connect(closer);
    assert.equal(String(await readAll(other)), "that was all");
    await pause(50);
    other.end("still here");
    await until(() => heard === "still here");
    await until(() => closer.sockets.size === 0 && asker.sockets.size === 0);
  });

  test("downwards not a byte passes beyond what is allowed; nothing is lost; the target feels it", async () => {
    await using pair = await makePair();
    await using rig = await proxyRig(pair, { allow: 0n });
    const content = pattern(24 * KiB * KiB, 3);
    await using target = await startTarget((socket) => socket.end(content));
    const client = await rig.connect(target);
    const got = counting(client);
    const all = readAll(client);
    for (const allowed of [0, 1, 2, 1000, 65_536, 65_537, 1_000_000, 1_000_001]) {
      rig.grant.allow(BigInt(allowed));
      await until(() => got() >= allowed);
      await pause(60);
      assert.equal(got(), allowed);
      assert.equal(rig.grant.usedBytes(), BigInt(allowed));
      assert.equal(rig.handle.usedBytes(), BigInt(allowed));
    }
    const [socket] = target.sockets;
    assert.ok((socket?.writableLength ?? 0) > 0, "the target can send on although nobody takes it");
    rig.grant.allow(2n ** 60n);
    assert.equal(digest(await all), digest(content));
  });

  test("upwards not a byte passes beyond what is allowed; nothing is lost; the client feels it", async () => {
    await using pair = await makePair();
    await using rig = await proxyRig(pair, { allow: 0n });
    const content = pattern(24 * KiB * KiB, 4);
    let arrived = "";
    await using target = await startTarget(async (socket) => {
      arrived = digest(await readAll(socket));
      socket.end();
    });
    const client = await rig.connect(target);
    client.end(content);
    client.resume();
    for (const allowed of [0, 1, 1000, 65_536, 300_001, 1_000_000]) {
      rig.grant.allow(BigInt(allowed));
      await until(() => target.received() >= allowed);
      await pause(60);
      assert.equal(target.received(), allowed);
      assert.equal(rig.grant.usedBytes(), BigInt(allowed));
      await until(() => rig.handle.usedBytes() === BigInt(allowed));
    }
    assert.ok(client.writableLength > 0, "the client can send on although nothing is carried");
    rig.grant.allow(2n ** 60n);
    await until(() => arrived !== "");
    assert.equal(arrived, digest(content));
  });

  test("an end that comes while all stands still does not overtake the bytes before it", async () => {
    await using pair = await makePair();
    await using rig = await proxyRig(pair, { allow: 0n });
    let heard = "";
    await using target = await startTarget(async (socket) => {
      socket.end("said and gone");
      heard = String(await readAll(socket));
    });
    const client = await rig.connect(target);
    client.end("asked and gone");
    const all = readAll(client);
    await pause(100);
    rig.grant.allow(5n);
    await pause(30);
    rig.grant.allow(2n ** 60n);
    assert.equal(String(await all), "said and gone");
    await until(() => heard === "asked and gone");
  });

  test("what has just left upwards is counted at the close", async () => {
    await using pair = await makePair();
    await using rig = await proxyRig(pair);
    const { promise: arrived, resolve } = Promise.withResolvers<void>();
    await using target = await startTarget((socket) => socket.on("data", () => resolve()));
    const client = await rig.connect(target);
    client.write("just now");
    await arrived;
    assert.equal(await rig.handle.close(), 8n);
    assert.equal(await rig.grant.end(), 8n);
  });

  test("all connections and both directions share one allowance", async () => {
    await using pair = await makePair();
    const allowed = 200_003;
    await using rig = await proxyRig(pair, { allow: BigInt(allowed) });
    await using target = await startTarget((socket) => {
      socket.write(pattern(256 * KiB));
      socket.resume();
    });
    const clients = await Promise.all(Array.from({ length: 5 }, () => rig.connect(target)));
    const got = clients.map(counting);
    for (const client of clients) client.write(pattern(256 * KiB, 5));
    const carried = () => got.reduce((sum, count) => sum + count(), target.received());
    await until(() => carried() >= allowed);
    await pause(100);
    assert.equal(carried(), allowed);
    await until(() => rig.handle.usedBytes() === BigInt(allowed));
    const [client] = clients;
    client?.destroy();
    await pause(100);
    assert.equal(rig.grant.usedBytes(), BigInt(allowed));
  });

  test("datagrams and connections share one allowance, and both ends count them the same", async () => {
    await using pair = await makePair();
    await using rig = await proxyRig(pair);
    await using echo = await startUdp();
    await using target = await startTarget((socket) => socket.pipe(socket));
    await using program = await associate(rig.handle.endpoint.socks ?? "");
    const client = await rig.connect(target);
    const got = counting(client);
    client.write(pattern(1 * KiB * KiB));
    const payload = pattern(1200, 9);
    for (let i = 0; i < 50; i += 1) {
      program.send(echo, payload);
      assert.deepEqual((await program.next()).payload, payload);
    }
    await until(() => got() === 1 * KiB * KiB);
    const total = BigInt(2 * KiB * KiB + 100 * (1200 + 28));
    assert.equal(rig.grant.usedBytes(), total);
    assert.equal(await rig.handle.close(), total);
    assert.equal(await rig.grant.end(), total);
  });

  test("a suspended session carries nothing until it is allowed to again", async () => {
    await using pair = await makePair();
    await using rig = await proxyRig(pair);
    await using target = await startTarget((socket) => socket.pipe(socket));
    const client = await rig.connect(target);
    const got = counting(client);
    client.write("abc");
    await until(() => got() === 3);
    rig.grant.suspend();
    client.write("def");
    await pause(100);
    assert.equal(got(), 3);
    assert.equal(target.received(), 3);
    rig.grant.allow(2n ** 60n);
    await until(() => got() === 6);
  });

  proxyEndsSuite(test, makePair);
}
