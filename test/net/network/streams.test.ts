import assert from "node:assert/strict";
import { isMystError } from "../../../src/lib/errors.ts";
import type { ByteStream } from "../../../src/network/network.ts";
import { describe } from "../../support/harness.ts";
import { soon, startPeer, type TestPeer, until } from "../support.ts";

const MiB = 1 << 20;

describe("network: streams", (test, { before, after }) => {
  let server: TestPeer;
  let client: TestPeer;
  before(async () => {
    server = await startPeer({ gossip: false, dht: false });
    client = await startPeer({ gossip: false, dht: false, listen: [], bootstrap: server.network.addresses() });
    await client.network.connect(server.network.peerId, server.network.addresses(), soon());
  });
  after(async () => {
    await client[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });
  const openBytes = (protocol: string) => client.network.openBytes(server.network.peerId, protocol, soon());
  const openFrames = (protocol: string) => client.network.openFrames(server.network.peerId, protocol, soon());

  test("bytes arrive in order, and each half ends by itself", async () => {
    await server.network.handleBytes("echo", async (stream) => {
      for await (const chunk of stream.read()) await stream.write(chunk);
      await stream.closeWrite();
    });
    const stream = await openBytes("echo");
    const sent = Buffer.alloc(3 * MiB, "abcdefghijk");
    const sending = (async () => {
      for (let at = 0; at < sent.length; at += 40_000) await stream.write(sent.subarray(at, at + 40_000));
      await stream.closeWrite();
    })();
    const parts: Uint8Array[] = [];
    for await (const chunk of stream.read()) parts.push(chunk);
    await sending;
    assert.ok(Buffer.concat(parts).equals(sent));
  });

  test("an unread stream stops its sender, and other streams go on", async () => {
    let arrived: ByteStream | undefined;
    let release: () => void = () => undefined;
    await server.network.handleBytes("unread", async (stream) => {
      arrived = stream;
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      for await (const chunk of stream.read()) read += chunk.byteLength;
    });
    let read = 0;
    let written = 0;
    const stream = await openBytes("unread");
    const chunk = new Uint8Array(64 * 1024);
    const total = 64 * MiB;
    const sending = (async () => {
      while (written < total) {
        await stream.write(chunk);
        written += chunk.byteLength;
      }
      await stream.closeWrite();
    })();
    await until("the stream is open", () => arrived !== undefined);
    await standsStill(() => written);
    const held = written;
    assert.ok(held > 0 && held <= 4 * MiB, `${held} bytes were taken from a sender that nobody reads`);
    const memory = process.memoryUsage().arrayBuffers;
    await standsStill(() => written);
    assert.ok(process.memoryUsage().arrayBuffers - memory < 4 * MiB, "memory grows while nobody reads");

    await server.network.answer("aside", { maxQuestion: 10, maxAnswer: 10 }, async (question) => question);
    assert.deepEqual(await client.network.ask(server.network.peerId, "aside", Uint8Array.of(7), soon()), Uint8Array.of(7));

    release();
    await sending;
    await until("all is read", () => read === total, 20_000);
  });

  test("a reader slower than its sender gets everything, and little of it waits", async () => {
    const total = 12 * MiB;
    let written = 0;
    let read = 0;
    let most = 0;
    await server.network.handleBytes("slow", async (stream) => {
      for await (const chunk of stream.read()) {
        read += chunk.byteLength;
        most = Math.max(most, written - read);
        await new Promise((resolve) => setTimeout(resolve, (100 * chunk.byteLength) / MiB));
      }
      await stream.closeWrite();
    });
    const stream = await openBytes("slow");
    const chunk = new Uint8Array(256 * 1024);
    while (written < total) {
      await stream.write(chunk);
      written += chunk.byteLength;
    }
    await stream.closeWrite();
    for await (const _ of stream.read());
    assert.equal(read, total);
    assert.ok(most <= 6 * MiB, `${most} bytes waited`);
  });

  test("a stream that is reset on one side fails on the other and does not look ended", async () => {
    await server.network.handleBytes("reset", async (stream) => {
      for await (const _ of stream.read()) stream.abort(new Error("no"));
    });
    const stream = await openBytes("reset");
    await stream.write(Uint8Array.of(1));
    await assert.rejects(
      async () => {
        for await (const _ of stream.read());
      },
      (error) => isMystError(error, "PEER_UNREACHABLE"),
    );
  });

  test("frames keep their bounds, empty ones too", async () => {
    await server.network.handleFrames("frames", { maxFrame: 200_000 }, async (stream) => {
      for (let frame = await stream.receive(); frame; frame = await stream.receive()) await stream.send(frame);
    });
    const stream = await client.network.openFrames(server.network.peerId, "frames", soon(), { maxFrame: 200_000 });
    const frames = [0, 1, 3, 4, 70_000, 200_000].map((length) => new Uint8Array(length).fill(length % 251));
    for (const frame of frames) await stream.send(frame);
    for (const frame of frames) assert.deepEqual(await stream.receive(soon()), frame);
    await stream.close();
  });

  test("a frame over the cap resets the stream before its content is taken", async () => {
    let error: unknown;
    await server.network.handleFrames("capped", { maxFrame: 1000 }, async (stream) => {
      await stream.receive().catch((thrown) => {
        error = thrown;
        throw thrown;
      });
    });
    const raw = await openBytes("capped");
    // a claim of 4 GiB; not one byte of it follows
    await raw.write(Uint8Array.of(0xff, 0xff, 0xff, 0xff));
    await until("the cap is noticed", () => isMystError(error, "MALFORMED"), 5000);
    await assert.rejects(
      async () => {
        for await (const _ of raw.read());
      },
      (thrown) => isMystError(thrown, "PEER_UNREACHABLE"),
    );
  });

  test("a frame that stops in its middle is no frame", async () => {
    let error: unknown;
    await server.network.handleFrames("half", { maxFrame: 1000 }, async (stream) => {
      await stream.receive().catch((thrown) => {
        error = thrown;
      });
    });
    const raw = await openBytes("half");
    await raw.write(Uint8Array.of(0, 0, 0, 5, 1, 2));
    await raw.closeWrite();
    await until("the end is noticed", () => isMystError(error, "MALFORMED"), 5000);
  });

  test("a receive that was given up loses nothing of the frame", async () => {
    const release = Promise.withResolvers<void>();
    await server.network.handleBytes("patient", async (stream) => {
      await stream.write(Uint8Array.of(0, 0));
      await release.promise;
      await stream.write(Uint8Array.of(0, 3, 1, 2, 3));
    });
    const stream = await openFrames("patient");
    await assert.rejects(stream.receive(AbortSignal.timeout(200)), (error) => isMystError(error, "PEER_TIMEOUT"));
    release.resolve();
    assert.deepEqual(await stream.receive(soon()), Uint8Array.of(1, 2, 3));
    await stream.close();
  });

  test("a peer that never answers costs the deadline and no more", async () => {
    await server.network.answer("silent", { maxQuestion: 10, maxAnswer: 10 }, () => new Promise(() => undefined));
    await assert.rejects(client.network.ask(server.network.peerId, "silent", new Uint8Array(), AbortSignal.timeout(200)), (error) =>
      isMystError(error, "PEER_TIMEOUT"),
    );
    const giveUp = new AbortController();
    const asking = client.network.ask(server.network.peerId, "silent", new Uint8Array(), giveUp.signal);
    giveUp.abort();
    await assert.rejects(asking, (error) => isMystError(error, "INTERRUPTED"));
  });

  test("refusals: an answerer that throws, a protocol nobody speaks, an answer over what the asker takes, a peer that is nowhere", async () => {
    await server.network.answer("throws", { maxQuestion: 10, maxAnswer: 10 }, async () => {
      throw new Error("no");
    });
    await server.network.answer("long", { maxQuestion: 10, maxAnswer: 500 }, async () => new Uint8Array(500));
    const ask = (protocol: string, maxAnswer = 500) =>
      client.network.ask(server.network.peerId, protocol, new Uint8Array(), soon(), { maxAnswer });
    const coded = (code: "PEER_REFUSED" | "MALFORMED" | "PEER_UNREACHABLE") => (error: unknown) => isMystError(error, code);
    assert.equal((await ask("long")).length, 500);
    await assert.rejects(ask("throws"), coded("PEER_REFUSED"));
    await assert.rejects(ask("nobody"), coded("PEER_REFUSED"));
    await assert.rejects(ask("long", 499), coded("MALFORMED"));
    const gone = "16Uiu2HAmRuyraRUbHkmxvR4UHoSptSKm6YTSPw3UmoavKSmG9Ry8";
    await assert.rejects(client.network.connect(gone, ["/ip4/127.0.0.1/tcp/1"], soon()), coded("PEER_UNREACHABLE"));
    await assert.rejects(client.network.openBytes(gone, "echo", soon()), coded("PEER_UNREACHABLE"));
    await assert.rejects(client.network.openBytes("nonsense", "echo", soon()), coded("MALFORMED"));
  });

  test("hundreds of streams at a time on one connection, and none is left", async () => {
    const { network } = client;
    const streams = await Promise.all(Array.from({ length: 200 }, () => openBytes("echo")));
    await Promise.all(
      streams.map(async (stream, index) => {
        await stream.write(Uint8Array.of(index));
        await stream.closeWrite();
        for await (const chunk of stream.read()) assert.deepEqual(chunk, Uint8Array.of(index));
      }),
    );
    assert.equal(network.peers().length, 1);
    const again = await Promise.all(Array.from({ length: 400 }, () => openBytes("echo")));
    for (const stream of again) stream.abort(new Error("enough"));
  });
});

/** Resolves once the value has not changed for half a second. */
async function standsStill(value: () => number): Promise<void> {
  let last = -1;
  let since = Date.now();
  await until("it stands still", () => {
    if (value() !== last) {
      last = value();
      since = Date.now();
    }
    return Date.now() - since > 500;
  });
}
