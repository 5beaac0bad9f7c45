import assert from "node:assert/strict";
import { once } from "node:events";
import { counting, digest, type MakePair, pattern, pause, proxyRig, readAll, startTarget } from "./proxy-rig.ts";
import { until } from "./until.ts";

const KiB = 1024;

/** The part of the suite that is about how things end: in order, early, or under load. */
export function proxyEndsSuite(test: (name: string, fn: () => Promise<void>) => void, makePair: MakePair): void {
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
