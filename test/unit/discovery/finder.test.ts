import assert from "node:assert/strict";
import type { DiscoverySource } from "../../../src/discovery/discovery.ts";
import { wantedTopic } from "../../../src/discovery/protocol.ts";
import { describe } from "../../support/harness.ts";
import { createVirtualClock } from "../../support/simulation/clock.ts";
import { endSimTrader, type SimTrader, startSimTrader } from "../../support/simulation/market.ts";
import { createSimNet } from "../../support/simulation/net.ts";

describe("discovery/finder: the whole market is asked last", (test) => {
  /** A market with exits in the US that have long been there. */
  const open = async () => {
    const clock = createVirtualClock();
    const net = createSimNet(clock);
    const first = await startSimTrader(net, clock);
    const bootstrap = [first.invite ?? ""];
    const traders: SimTrader[] = [first];
    for (let count = 0; count < 4; count += 1) traders.push(await startSimTrader(net, clock, { bootstrap, country: "US" }));
    await clock.pass(120_000);
    const asked = () => net.gossip.said[wantedTopic] ?? 0;
    /** Of a consumer that has just come: whom it finds within 5 s, and how often everybody was asked by then. */
    const look = async (country: string, sources?: DiscoverySource[]) => {
      const before = asked();
      const consumer = await startSimTrader(net, clock, { bootstrap, listens: false, ...(sources && { sources }) });
      traders.push(consumer);
      const ending = new AbortController();
      const found: string[] = [];
      const looking = (async () => {
        for await (const { offer } of consumer.discovery.find({ country }, ending.signal)) found.push(offer.peer);
      })();
      await clock.pass(5_000);
      ending.abort();
      await looking;
      return { found: found.length > 0, asked: asked() - before };
    };
    return { look, [Symbol.asyncDispose]: async () => void (await clock.until(Promise.all(traders.map(endSimTrader)))) };
  };

  test("who has found by a snapshot or by the DHT does not ask it", async () => {
    await using market = await open();
    assert.deepEqual(await market.look("US"), { found: true, asked: 0 });
    assert.deepEqual(await market.look("US", ["gossip", "dht"]), { found: true, asked: 0 });
  });

  test("who has not asks it, and who has no other way does at once", async () => {
    await using market = await open();
    const none = await market.look("JP");
    assert.ok(!none.found && none.asked > 0, JSON.stringify(none));
    const alone = await market.look("US", ["gossip"]);
    assert.ok(alone.found && alone.asked > 0, JSON.stringify(alone));
  });
});
