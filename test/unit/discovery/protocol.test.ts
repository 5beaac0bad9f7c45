import assert from "node:assert/strict";
import fc from "fast-check";
import { any, lookupKeys, placementKeys } from "../../../src/discovery/protocol.ts";
import { describe } from "../../support/harness.ts";
import { startMs } from "./offers.ts";

const texts = (keys: Uint8Array[]) => keys.map((key) => new TextDecoder().decode(key));
const services = [{ kind: "proxy", perGiB: 1n, perHour: 1n }];
const minute = 60_000;

describe("discovery/protocol: DHT keys", (test) => {
  test("an exit is found by its country, its service, both or neither, by a clock up to ten minutes off", () => {
    fc.assert(
      fc.property(
        fc.string({ maxLength: 60 }),
        fc.nat(7200_000),
        fc.integer({ min: -10 * minute, max: 10 * minute }),
        (peer, afterMs, skewMs) => {
          const nowMs = startMs + afterMs;
          // placed ten minutes ago and not moved since, or just now: a record counts for half an hour
          const placed = new Set(
            [
              ...placementKeys({ peer, country: "US", services }, nowMs),
              ...placementKeys({ peer, country: "US", services }, nowMs - 10 * minute),
            ].map(String),
          );
          for (const query of [{ country: "US", service: "proxy" }, { country: "us" }, { service: "proxy" }, {}])
            assert.ok(lookupKeys(query, nowMs + skewMs).some((key) => placed.has(String(key))));
        },
      ),
    );
  });

  test("another country or service leads elsewhere", () => {
    const placed = new Set(texts(placementKeys({ peer: "p", country: "US", services }, startMs)));
    for (const query of [{ country: "DE" }, { service: "wireguard" }, { country: "DE", service: "proxy" }])
      assert.ok(!texts(lookupKeys(query, startMs)).some((key) => placed.has(key)));
  });

  test("a country's exits are spread over several keys, and over new ones in the next hour", () => {
    const shardsOf = (nowMs: number) =>
      new Set(
        Array.from({ length: 64 }, (_, index) => texts(placementKeys({ peer: `peer-${index}`, country: any, services: [] }, nowMs))[0]),
      );
    const now = shardsOf(startMs);
    assert.equal(now.size, lookupKeys({}, startMs).length);
    assert.ok(now.size > 1);
    for (const key of shardsOf(startMs + 60 * minute)) assert.ok(!now.has(key));
  });

  test("the next hour's are added ten to twenty minutes ahead, not by all exits at once", () => {
    const hour = Math.ceil(startMs / (60 * minute)) * 60 * minute;
    const placed = (ahead: number) =>
      Array.from({ length: 200 }, (_, index) =>
        placementKeys({ peer: `16Uiu2HAm${index ** 3}`, country: "US", services }, hour - ahead),
      ).filter(({ length }) => length > 4).length;
    assert.equal(placed(20 * minute), 0);
    assert.equal(placed(10 * minute), 200);
    for (let ahead = 19; ahead > 10; ahead -= 1) {
      const more = placed(ahead * minute) - placed((ahead + 1) * minute);
      assert.ok(more >= 5 && more <= 40, `${more} of 200 within a minute`);
    }
  });
});
