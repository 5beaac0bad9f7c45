import assert from "node:assert/strict";
import { describe } from "../support/harness.ts";
import { measureScale } from "./support/scale/market.ts";
import { measureOffers } from "./support/scale/offers.ts";

const { signal } = new AbortController();

describe("perf/scale: a small run", (test) => {
  test(
    "every peer hears of every offer, once for each announcement and a few times over, and what it costs is counted",
    async () => {
      const found = await measureScale({ peers: 24, exits: 3, windowMs: 30_000, followed: 3, tries: 2 }, signal, () => undefined);
      assert.ok(found.heardShare > 0.9, `${found.heardShare} of the peers heard`);
      assert.ok(Math.max(...found.heardMs) < 10_000 && Math.min(...found.heardMs) > 0);
      // an envelope is over 400 bytes, is sent and received, and comes to each by at least one way, and by no more than it has
      assert.ok(found.bytesPerOffer > 800 && found.bytesPerOffer < 2 * 700 * found.mostLinks, `${found.bytesPerOffer} bytes`);
      assert.ok(found.copies >= 1 && found.copies <= found.mostLinks);
      assert.ok(found.links >= 3 && found.heapBytes > 1_000 && found.cpuMsPerOffer > 0);
      assert.ok(found.held > 2 && found.coldMs.every(Number.isFinite));
    },
    { timeoutMs: 120_000 },
  );

  test("with nobody who sells nobody hears", async () => {
    const none = await measureScale({ peers: 8, exits: 0, windowMs: 5_000, followed: 0, tries: 1 }, signal, () => undefined);
    assert.deepEqual([none.held, none.heardMs, none.coldMs], [0, [], [Number.POSITIVE_INFINITY]]);
  });

  test("a catalogue takes each offer, and costs more than its bytes", async () => {
    const found = await measureOffers(200);
    assert.equal(found.held, 200);
    assert.ok(found.wireBytes > 300 && found.heapBytes > found.wireBytes, `${found.heapBytes} bytes in memory`);
    assert.ok(found.takeUs > 0 && found.recoverUs > 0 && found.digestBytes >= 1.25);
  });
});
