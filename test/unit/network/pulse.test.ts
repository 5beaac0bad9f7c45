import assert from "node:assert/strict";
import type { Connection } from "@libp2p/interface";
import type { Libp2p } from "libp2p";
import { systemClock } from "../../../src/lib/clock.ts";
import { silentLogger } from "../../../src/lib/ports.ts";
import { keepPulse } from "../../../src/network/pulse.ts";
import { describe } from "../../support/harness.ts";
import { until } from "../../support/until.ts";

type StreamState = { status: string; writableNeedsDrain: boolean };

/** A connection over which each stream is as `state` says, and what becomes of it. */
function open(state: StreamState, newStream?: () => never) {
  const host = new EventTarget();
  const end = keepPulse(
    { host: host as unknown as Libp2p, protocol: "/ping", clock: systemClock, log: silentLogger },
    { firstMs: 10, everyMs: 10, withinMs: 100 },
  );
  let asked = 0;
  let aborted: Error | undefined;
  const connection = {
    remotePeer: "peer",
    newStream: async () => {
      asked += 1;
      newStream?.();
      const events = new EventTarget();
      return Object.assign(events, {
        ...{ ...state, remoteWriteStatus: "writable", readBufferLength: 0, send: () => true },
        pause: () => undefined,
        resume: () => undefined,
        close: async () => undefined,
        abort(error: Error) {
          this.status = "aborted";
          events.dispatchEvent(Object.assign(new Event("close"), { error }));
        },
      });
    },
    abort: (error: Error) => {
      aborted = error;
    },
  };
  host.dispatchEvent(new CustomEvent("connection:open", { detail: connection as unknown as Connection }));
  const close = () => host.dispatchEvent(new CustomEvent("connection:close", { detail: connection as unknown as Connection }));
  return { asked: () => asked, aborted: () => aborted, close, end };
}

describe("network/pulse", (test) => {
  test("a connection that takes nothing more, or never answers, is ended in time", async () => {
    for (const writableNeedsDrain of [true, false]) {
      const at = open({ status: "open", writableNeedsDrain });
      await until(() => at.aborted() !== undefined);
      assert.equal(at.asked(), 1);
      at.end();
    }
  });

  test("who does not know the protocol is alive, and is asked until the connection closes", async () => {
    const at = open({ status: "open", writableNeedsDrain: false }, () => {
      throw Object.assign(new Error("unknown"), { name: "UnsupportedProtocolError" });
    });
    await until(() => at.asked() >= 3);
    assert.equal(at.aborted(), undefined);
    at.close();
    const asked = at.asked();
    await new Promise((done) => setTimeout(done, 100));
    assert.equal(at.asked(), asked);
    at.end();
  });
});
