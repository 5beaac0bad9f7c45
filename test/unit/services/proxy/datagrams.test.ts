import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import fc from "fast-check";
import { maxAddressBytes, readAddress, writeAddress } from "../../../../src/services/proxy/address.ts";
import { createResolve, type Resolve } from "../../../../src/services/proxy/resolve.ts";
import { describe } from "../../../support/harness.ts";
import { queryFor, startNameServer } from "../../../support/name-server.ts";
import { inMemory, pattern, pause, proxyRig, type Rig, type RigOptions } from "../../../support/proxy-rig.ts";
import { associate, startUdp } from "../../../support/socks-datagrams.ts";
import { until } from "../../../support/until.ts";

const rigWith = (options?: RigOptions) => proxyRig(inMemory(), options);
const socksOf = (rig: Rig) => rig.handle.endpoint.socks ?? "";
const sockets = () => process.getActiveResourcesInfo().filter((kind) => kind === "UDPWrap").length;
/** long enough for what should not come */
const quietMs = 60;
const headers = 28;

describe("services/proxy: datagrams", (test) => {
  test("go there and back, whole, whatever their size; both ends count payload and 28 bytes for each", async () => {
    await using rig = await rigWith();
    await using echo = await startUdp();
    await using program = await associate(socksOf(rig));
    let count = 0;
    for (const size of [0, 1, 1200, 9000, 60_000]) {
      const payload = pattern(size, size + 1);
      program.send(echo, payload);
      assert.deepEqual(await program.next(), { host: "127.0.0.1", port: echo.port, payload });
      count += 2 * (size + headers);
    }
    assert.equal(rig.grant.usedBytes(), BigInt(count));
    assert.equal(await rig.handle.close(), BigInt(count));
    assert.equal(await rig.grant.end(), BigInt(count));
    assert.equal(new Set(echo.seen.map(({ port }) => port)).size, 1);
  });

  test("DNS works over them, by a name server's address and by its name", async () => {
    await using names = await startNameServer((name) => ({ addresses: name === "ns.test" ? ["127.0.0.1", "10.0.0.1"] : ["192.0.2.7"] }));
    await using rig = await rigWith({ resolve: createResolve([names.address]) });
    await using program = await associate(socksOf(rig));
    for (const [i, host] of ["127.0.0.1", "ns.test", "ns.test."].entries()) {
      program.send({ host, port: names.port }, queryFor(7 + i, "example.org"));
      const { payload, port } = await program.next();
      assert.deepEqual([payload.readUInt16BE(0), [...payload.subarray(-4)], port], [7 + i, [192, 0, 2, 7], names.port]);
    }
    // each name once for both families, however often it is sent to
    program.send({ host: "ns.test", port: names.port }, queryFor(1, "example.org"));
    await program.next();
    assert.deepEqual(names.asked.filter((asked) => asked.endsWith("ns.test")).length, 4);
  });

  test("each destination is judged, by the address that a name has when it is used", async () => {
    await using echo = await startUdp();
    let addresses = ["10.0.0.1"];
    const resolve: Resolve = async () => addresses;
    await using rig = await rigWith({ resolve, provider: { allow: [`127.0.0.1:${echo.port}`] } });
    await using other = await startUdp();
    await using program = await associate(socksOf(rig));
    for (const host of ["127.0.0.2", "10.0.0.1", "169.254.169.254", "255.255.255.255", "224.0.0.251", "::1", "::ffff:10.0.0.1", "in.test"])
      program.send({ host, port: echo.port }, "in");
    program.send(other, "other port");
    program.send({ port: 25 }, "mail");
    program.send({ host: "no/name", port: echo.port }, "no name");
    program.send({ host: "127.0.0.1", port: 0 }, "no port");
    await pause(quietMs);
    assert.equal(rig.grant.usedBytes(), 0n);
    assert.equal(other.seen.length, 0);
    addresses = ["2606:4700::1", "10.0.0.1", "127.0.0.1"];
    program.send({ host: "out.test", port: echo.port }, "out");
    assert.equal(String((await program.next()).payload), "out");
    assert.deepEqual(
      echo.seen.map(({ payload }) => String(payload)),
      ["out"],
    );
  });

  test("an answer comes from whom was sent to, address and port, or it is none", async () => {
    await using rig = await rigWith();
    await using echo = await startUdp();
    await using stranger = await startUdp();
    await using program = await associate(socksOf(rig));
    program.send(echo, "hello");
    await program.next();
    const [{ port = 0 } = {}] = echo.seen;
    stranger.socket.send("spoofed", port, "127.0.0.1");
    const elsewhere = createSocket("udp4").bind(echo.port, "127.0.0.2");
    await once(elsewhere, "listening");
    elsewhere.send("spoofed", port, "127.0.0.1");
    await pause(quietMs);
    elsewhere.close();
    assert.equal(program.received.length, 1);
    assert.equal(rig.grant.usedBytes(), 2n * BigInt(5 + headers));
    program.send(stranger, "you too");
    assert.equal((await program.next()).port, stranger.port);
  });

  test("at the consumer only the one program's port is served; fragments and garbage are not", async () => {
    await using rig = await rigWith();
    await using echo = await startUdp();
    await using program = await associate(socksOf(rig));
    const other = createSocket("udp4");
    const datagram = (...bytes: number[]) => Uint8Array.from([...bytes, ...writeAddress("127.0.0.1", echo.port), 1]);
    program.send(echo, "fragment", 1);
    for (const bytes of [[], [0], [0, 0, 0], [0, 0, 0, 9, 9], [0, 0, 0, 1, 127]]) program.send({ port: 0 }, Uint8Array.from(bytes));
    program.send(echo, "first");
    await program.next();
    other.send(datagram(0, 0, 0), program.port, "127.0.0.1");
    await pause(quietMs);
    other.close();
    assert.equal(echo.seen.length, 1);
    // one that has named its port is known from the first
    const named = createSocket("udp4").bind(0, "127.0.0.1");
    await once(named, "listening");
    const { port } = named.address();
    named.close();
    await once(named, "close");
    await using sure = await associate(socksOf(rig), { port });
    const early = createSocket("udp4");
    early.send(datagram(0, 0, 0), sure.port, "127.0.0.1");
    await pause(quietMs);
    early.close();
    sure.send(echo, "mine");
    assert.equal(String((await sure.next()).payload), "mine");
    assert.equal(echo.seen.length, 2);
  });

  test("without credit none passes, in neither direction, and none in part", async () => {
    await using rig = await rigWith({ allow: BigInt(100 + headers) });
    await using echo = await startUdp();
    await using program = await associate(socksOf(rig));
    program.send(echo, pattern(101));
    await pause(quietMs);
    assert.equal(rig.grant.usedBytes(), 0n);
    program.send(echo, pattern(100));
    await until(() => echo.seen.length === 1);
    await pause(quietMs);
    // it has gone out, and its answer would be over what was allowed
    assert.equal(program.received.length, 0);
    assert.equal(rig.grant.usedBytes(), BigInt(100 + headers));
    await until(() => rig.handle.usedBytes() === BigInt(100 + headers));
    rig.grant.allow(2n ** 60n);
    rig.grant.suspend();
    program.send(echo, "late");
    await pause(quietMs);
    assert.equal(echo.seen.length, 1);
    rig.grant.allow(2n ** 60n);
    program.send(echo, "again");
    assert.equal(String((await program.next()).payload), "again");
  });

  test("many new destinations at once are not carried, nor more associations than a session may have", async () => {
    let nowMs = 0;
    await using rig = await rigWith({ provider: { maxAssociations: 2 }, clock: { nowMs: () => nowMs } });
    await using echo = await startUdp();
    await using one = await associate(socksOf(rig));
    await using two = await associate(socksOf(rig));
    await using three = await associate(socksOf(rig));
    one.send(echo, "one");
    await one.next();
    two.send(echo, "two");
    await two.next();
    three.send(echo, "three");
    await pause(quietMs);
    assert.equal(three.received.length, 0);
    for (let i = 0; i < 400; i += 1) {
      one.send({ host: `127.1.${i >> 8}.${i & 255}`, port: 9 }, "");
      if (i % 50 === 49) await pause(5);
    }
    await pause(quietMs);
    // two were new before
    assert.equal(rig.grant.usedBytes(), BigInt(4 * (3 + headers) + 254 * headers));
    nowMs += 1_000;
    two.send({ host: "127.2.0.1", port: 9 }, "");
    await until(() => rig.grant.usedBytes() === BigInt(4 * (3 + headers) + 255 * headers));
  });

  test("a stream without datagrams is ended, and the next datagram opens another", async () => {
    await until(() => sockets() === 0);
    await using rig = await rigWith({ provider: { datagramIdleMs: 400 } });
    await using echo = await startUdp();
    await using program = await associate(socksOf(rig));
    for (const text of ["one", "two"]) {
      program.send(echo, text);
      assert.equal(String((await program.next()).payload), text);
      // left are the echo's, the program's, and the consumer's
      await until(() => sockets() === 3);
    }
    assert.equal(new Set(echo.seen.map(({ port }) => port)).size, 2);
  });

  test("it ends with the program's connection, and with the session; nothing is left, and the counts are the same", async () => {
    await until(() => sockets() === 0);
    await using echo = await startUdp();
    {
      await using rig = await rigWith();
      await using program = await associate(socksOf(rig));
      await using other = await associate(socksOf(rig));
      for (const one of [program, other]) {
        one.send(echo, "hello");
        await one.next();
      }
      program.end();
      // left are the echo's, the three of the other, and the program's own
      await until(() => sockets() === 5);
      for (let i = 0; i < 20; i += 1) other.send(echo, pattern(1000));
      const counted = await rig.handle.close();
      await other.ended;
      assert.equal(counted, await rig.grant.end());
    }
    await until(() => sockets() === 1);
  });

  test("a datagram asks, and only the next one down answers: both ends wait a while after the last, the exit the longest", async () => {
    let nowMs = 0;
    await using rig = await rigWith({ clock: { nowMs: () => nowMs } });
    const waits = () => [rig.handle.unanswered().nowMs, rig.grant.unanswered().nowMs];
    await using silent = await startUdp(() => undefined);
    await using program = await associate(socksOf(rig));
    program.send(silent, "anybody there?");
    await until(() => silent.seen.length === 1);
    nowMs += 29_999;
    assert.deepEqual(waits(), [29_999, 29_999]);
    nowMs += 1;
    assert.deepEqual(waits(), [0, 30_000]);
    nowMs += 2_000;
    assert.deepEqual(waits(), [0, 0]);
    program.send(silent, "still?");
    await until(() => silent.seen.length === 2);
    nowMs += 5_000;
    const [{ address = "", port = 0 } = {}] = silent.seen;
    silent.socket.send("yes", port, address);
    await program.next();
    assert.deepEqual(waits(), [0, 0]);
  });

  test("addresses: what is written is read, and nothing that is cut short is", () => {
    const host = fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain(), fc.constant("x".repeat(255)));
    fc.assert(
      fc.property(host, fc.nat(65_535), fc.uint8Array({ maxLength: 8 }), (host, port, rest) => {
        const bytes = writeAddress(host, port);
        assert.ok(bytes.length <= maxAddressBytes);
        const read = readAddress(Uint8Array.from([...bytes, ...rest]));
        assert.ok(typeof read === "object");
        assert.deepEqual([...writeAddress(read.host, read.port)], [...bytes]);
        assert.deepEqual([read.port, read.length], [port, bytes.length]);
        for (let cut = 0; cut < bytes.length; cut += 1) assert.equal(readAddress(bytes.subarray(0, cut)), "short");
      }),
    );
    assert.equal(readAddress(Uint8Array.of(2, 1)), "type");
    assert.equal(readAddress(Uint8Array.of(3, 0, 0, 80)), "name");
  });
});
