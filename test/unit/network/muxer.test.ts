import assert from "node:assert/strict";
import { setTimeout as wait } from "node:timers/promises";
import type { MultiaddrConnection, Stream, StreamMuxer } from "@libp2p/interface";
import { multiaddrConnectionPair } from "@libp2p/utils";
import { yamux } from "@libp2p/yamux";
import { yamuxMuxer } from "../../../src/network/muxer.ts";
import { describe } from "../../support/harness.ts";
import { until } from "../../support/until.ts";

/** from one end to the other, as long as the protocol says */
const initialWindow = 256 * 1024;

describe("network/muxer: what has come is granted anew in large pieces", (test) => {
  /** A stream between two muxers; `sent`: how many messages the accepting end has sent over the connection. */
  const open = async (factory: typeof yamux) => {
    const [outbound, inbound] = multiaddrConnectionPair();
    const sent = { count: 0 };
    const send = inbound.send.bind(inbound);
    inbound.send = (bytes) => {
      sent.count += 1;
      return send(bytes);
    };
    const make = factory({ enableKeepAlive: false })();
    const muxerOf = (connection: MultiaddrConnection): StreamMuxer => make.createStreamMuxer(connection);
    const [opener, accepter] = [muxerOf(outbound), muxerOf(inbound)];
    const accepted = Promise.withResolvers<Stream>();
    accepter.addEventListener("stream", ({ detail }) => accepted.resolve(detail));
    const near = await opener.createStream();
    const far = await accepted.promise;
    let got = 0;
    far.addEventListener("message", ({ data }) => {
      got += data.byteLength;
    });
    far.send(Uint8Array.of(1));
    await wait(20);
    sent.count = 0;
    return { near, far, sent, got: () => got, close: () => Promise.all([opener.close(), accepter.close()]) };
  };

  test("small messages are not answered each with a frame of the muxer's own, as they else are", async () => {
    const counts = [];
    for (const factory of [yamux, yamuxMuxer] as (typeof yamux)[]) {
      const { near, sent, got, close } = await open(factory);
      for (let count = 0; count < 50; count += 1) {
        near.send(new Uint8Array(100));
        await until(() => got() === (count + 1) * 100);
      }
      counts.push(sent.count);
      await close();
    }
    const [each = 0, ours] = counts;
    assert.ok(each >= 50, `${each} for 50`);
    assert.equal(ours, 0);
  });

  test("many times the window gets through", async () => {
    const { near, got, sent, close } = await open(yamuxMuxer as typeof yamux);
    const piece = new Uint8Array(initialWindow / 4);
    for (let count = 0; count < 40; count += 1)
      if (!near.send(piece)) await new Promise<void>((resolve) => near.addEventListener("drain", () => resolve(), { once: true }));
    await until(() => got() === 40 * piece.byteLength);
    assert.ok(sent.count > 0 && sent.count <= 20, `${sent.count} grants`);
    await close();
  });

  test("who reads nothing is sent a window's worth and no more; the rest comes once it reads on", async () => {
    const { near, far, got, close } = await open(yamuxMuxer as typeof yamux);
    far.pause();
    const piece = new Uint8Array(initialWindow / 4);
    for (let count = 0; count < 12; count += 1) near.send(piece);
    await wait(50);
    assert.ok(far.readBufferLength <= initialWindow && far.readBufferLength > initialWindow / 2, `${far.readBufferLength} bytes`);
    far.resume();
    await until(() => got() === 12 * piece.byteLength);
    await close();
  });
});
