import assert from "node:assert/strict";
import type { Connection, MultiaddrConnection } from "@libp2p/interface";
import { multiaddrConnectionPair } from "@libp2p/utils";
import type { Libp2p } from "libp2p";
import { systemClock } from "../../../src/lib/clock.ts";
import { silentLogger } from "../../../src/lib/ports.ts";
import { yamuxMuxer } from "../../../src/network/muxer.ts";
import { keepPulse } from "../../../src/network/pulse.ts";
import { describe } from "../../support/harness.ts";
import { until } from "../../support/until.ts";

/** A connection to a peer that answers, or does not, or that takes nothing more; and what becomes of it. */
function open(peer: "answers" | "silent" | "full", { everyMs = 10, withinMs = 200 } = {}) {
  const host = new EventTarget();
  const end = keepPulse(
    { host: host as unknown as Libp2p, clock: systemClock, log: silentLogger },
    { firstMs: everyMs, everyMs, withinMs },
  );
  const [near, far] = multiaddrConnectionPair();
  const make = yamuxMuxer({ enableKeepAlive: false })();
  const muxerOf = (connection: MultiaddrConnection) => make.createStreamMuxer(connection);
  const muxer = muxerOf(near);
  let sent = 0;
  const send = near.send.bind(near);
  near.send = (bytes) => {
    sent += 1;
    return peer === "full" ? false : send(bytes);
  };
  if (peer === "answers") muxerOf(far);
  let aborted: Error | undefined;
  const connection = { remotePeer: "peer", rtt: undefined as number | undefined, muxer, abort: (error: Error) => (aborted = error) };
  const tell = (name: string) => host.dispatchEvent(new CustomEvent(name, { detail: connection as unknown as Connection }));
  tell("connection:open");
  const close = () => tell("connection:close");
  return { asked: () => sent, aborted: () => aborted, rtt: () => connection.rtt, close, end };
}

describe("network/pulse", (test) => {
  test("a connection that takes nothing more, or never answers, is ended in time", async () => {
    for (const peer of ["full", "silent"] as const) {
      const at = open(peer);
      await until(() => at.aborted() !== undefined);
      assert.equal(at.asked(), 1);
      assert.equal(at.rtt(), undefined);
      at.end();
    }
  });

  test("who answers is asked until the connection closes, with one frame each time", async () => {
    const at = open("answers", { withinMs: 10_000 });
    await until(() => at.asked() >= 3);
    assert.equal(at.aborted(), undefined);
    assert.ok((at.rtt() ?? -1) >= 0);
    at.close();
    const asked = at.asked();
    await new Promise((done) => setTimeout(done, 100));
    assert.equal(at.asked(), asked);
    at.end();
  });

  test("who ends it asks nobody any more", async () => {
    const at = open("answers", { withinMs: 10_000 });
    await until(() => at.asked() >= 1);
    at.end();
    const asked = at.asked();
    await new Promise((done) => setTimeout(done, 100));
    assert.equal(at.asked(), asked);
    assert.equal(at.aborted(), undefined);
  });
});
