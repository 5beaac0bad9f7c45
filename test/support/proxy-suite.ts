import assert from "node:assert/strict";
import { once } from "node:events";
import type { RegisterTest } from "./harness.ts";
import { counting, digest, type MakePair, pattern, pause, proxyRig, readAll, startTarget } from "./proxy-rig.ts";
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

  test("the end of a session ends every connection, and its count stands", async () => {
    await using pair = await makePair();
    await using rig = await proxyRig(pair);
    await using target = await startTarget((socket) => socket.pipe(socket));
    const client = await rig.connect(target);
    client.write("abc");
    await once(client, "data");
    const broken = new Promise((resolve) => client.once("close", resolve));
    const count = await rig.grant.end();
    assert.equal(count, 6n);
    await broken;
    await until(() => target.sockets.size === 0);
    assert.equal(rig.grant.usedBytes(), 6n);
    rig.grant.allow(2n ** 61n);
    await assert.rejects(rig.connect(target), { code: "DESTINATION_UNREACHABLE", meta: { reply: 1 } });
  });

  test("a target that resets: what it sent before arrives, then the reset, and both sides count the same", async () => {
    await using pair = await makePair();
    await using rig = await proxyRig(pair);
    await using target = await startTarget((socket) => {
      socket.write(pattern(300 * KiB));
      socket.on("data", () => socket.resetAndDestroy());
    });
    const client = await rig.connect(target);
    const got = counting(client);
    await until(() => got() === 300 * KiB);
    const closed = once(client, "error");
    client.write("go");
    const [error] = await closed;
    assert.equal((error as { code: string }).code, "ECONNRESET");
    await until(() => rig.handle.usedBytes() === rig.grant.usedBytes());
    assert.equal(rig.grant.usedBytes(), BigInt(300 * KiB + 2));
  });

  test("a client that is gone in mid-download: the target is left, and both sides count the same", async () => {
    await using pair = await makePair();
    await using rig = await proxyRig(pair);
    await using target = await startTarget((socket) => {
      const more = () => {
        while (!socket.destroyed && socket.write(pattern(64 * KiB)));
      };
      socket.on("drain", more);
      more();
    });
    for (const leave of ["destroy", "resetAndDestroy"] as const) {
      const client = await rig.connect(target);
      const got = counting(client);
      await until(() => got() > 200 * KiB);
      client[leave]();
      await until(() => target.sockets.size === 0);
      await until(() => rig.handle.usedBytes() === rig.grant.usedBytes());
      await pause(50);
      assert.equal(rig.handle.usedBytes(), rig.grant.usedBytes());
    }
  });

  test("an upload that is cut short does not look complete to the target", async () => {
    await using pair = await makePair();
    await using rig = await proxyRig(pair);
    const { promise: ended, resolve } = Promise.withResolvers<string>();
    await using target = await startTarget((socket) => {
      socket.resume();
      socket.on("end", () => resolve("a good end"));
      socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
    });
    const client = await rig.connect(target);
    client.write("half of");
    await until(() => target.received() === 7);
    client.resetAndDestroy();
    assert.equal(await ended, "ECONNRESET");
    await until(() => rig.handle.usedBytes() === 7n);
  });

  test("a program that reads slowly holds up its own connection only, and no part of the allowance", async () => {
    await using pair = await makePair();
    await using rig = await proxyRig(pair);
    const content = pattern(24 * KiB * KiB, 6);
    await using endless = await startTarget((socket) => socket.end(content));
    const slow = await rig.connect(endless);
    let before = -1n;
    await until(async () => {
      const now = rig.grant.usedBytes();
      const still = now === before && now > 0n;
      before = now;
      await pause(150);
      return still;
    });
    assert.ok(rig.grant.usedBytes() < BigInt(content.length), "all of it was read although nobody takes it");
    assert.equal(rig.handle.usedBytes(), rig.grant.usedBytes(), "carried and not counted");
    await using echo = await startTarget((socket) => socket.pipe(socket));
    const other = await rig.connect(echo);
    rig.grant.allow(2n ** 60n);
    other.write("hello");
    await once(other, "data");
    assert.equal(digest(await readAll(slow)), digest(content));
  });

  test("a hundred connections at once, each intact; afterwards nothing is left", async () => {
    await using pair = await makePair();
    const sockets = () => process.getActiveResourcesInfo().filter((kind) => kind === "TCPSocketWrap").length;
    const before = sockets();
    {
      await using rig = await proxyRig(pair);
      await using target = await startTarget((socket) => socket.pipe(socket));
      const work = Array.from({ length: 100 }, async (_, i) => {
        const content = pattern(20_000 + i * 1000, i + 1);
        const client = await rig.connect(target);
        client.end(content);
        assert.equal(digest(await readAll(client)), digest(content));
      });
      await Promise.all(work);
      const each = Array.from({ length: 100 }, (_, i) => 2 * (20_000 + i * 1000));
      const total = BigInt(each.reduce((sum, bytes) => sum + bytes));
      assert.equal(rig.grant.usedBytes(), total);
      await until(() => rig.handle.usedBytes() === total);
      await until(() => target.sockets.size === 0);
      await until(() => sockets() <= before);
    }
    await until(() => sockets() <= before);
  });

  test("closing in mid-traffic: the final counts are the same", async () => {
    await using pair = await makePair();
    await using rig = await proxyRig(pair);
    await using target = await startTarget((socket) => socket.pipe(socket));
    const clients = await Promise.all(Array.from({ length: 8 }, () => rig.connect(target)));
    const got = clients.map(counting);
    for (const client of clients) {
      const more = () => {
        while (!client.destroyed && client.write(pattern(16 * KiB)));
      };
      client.on("drain", more);
      more();
    }
    await until(() => got.every((count) => count() > 100 * KiB));
    const counted = await rig.handle.close();
    assert.equal(counted, await rig.grant.end());
    await until(() => target.sockets.size === 0);
    assert.ok(clients.every((client) => client.destroyed || client.readableEnded));
  });
}
