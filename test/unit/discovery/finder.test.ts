import assert from "node:assert/strict";
import type { DiscoverySource } from "../../../src/discovery/discovery.ts";
import { wantedTopic } from "../../../src/discovery/protocol.ts";
import { describe } from "../../support/harness.ts";
import { createVirtualClock } from "../../support/simulation/clock.ts";
import { endSimTrader, type SimTrader, startSimTrader } from "../../support/simulation/market.ts";
import { createSimNet } from "../../support/simulation/net.ts";

/** as finder.ts has it */
const patienceMs = 1_000;

describe("discovery/finder: the whole market is asked last", (test) => {
  /** A market with exits in the US that have long been there. */
  const open = async () => {
    const clock = createVirtualClock();
    const net = createSimNet(clock);
    const first = await startSimTrader(net, clock);
    const bootstrap = [first.invite ?? ""];
    const traders: SimTrader[] = [first];
    // so many that there are some in each shard of the DHT
    for (let count = 0; count < 40; count += 1) traders.push(await startSimTrader(net, clock, { bootstrap, country: "US" }));
    await clock.pass(120_000);
    const asked = () => net.gossip.said[wantedTopic] ?? 0;
    /** Of a consumer that has just come: does it find somebody within its patience, or within 5 s, and how often was everybody asked by then? */
    const look = async (country: string, sources?: DiscoverySource[]) => {
      const before = asked();
      const consumer = await startSimTrader(net, clock, { bootstrap, listens: false, ...(sources && { sources }) });
      traders.push(consumer);
      const ending = new AbortController();
      const beganMs = clock.nowMs();
      const found: number[] = [];
      const looking = (async () => {
        for await (const _ of consumer.discovery.find({ country }, ending.signal)) found.push(clock.nowMs() - beganMs);
      })();
      await clock.pass(5_000);
      ending.abort();
      await looking;
      return { found: found.length > 0, soon: (found[0] ?? patienceMs) < patienceMs, asked: asked() - before };
    };
    return { look, [Symbol.asyncDispose]: async () => void (await clock.until(Promise.all(traders.map(endSimTrader)))) };
  };

  test("who has found by a snapshot or by the DHT does not ask it", async () => {
    await using market = await open();
    assert.deepEqual(await market.look("US"), { found: true, soon: true, asked: 0 });
    // a lookup mostly takes some 750 ms here, by chance more than it is waited for
    const { found, soon, asked } = await market.look("US", ["gossip", "dht"]);
    assert.deepEqual([found, asked > 0], [true, !soon]);
  });

  test("who has not asks it, and who has no other way does at once", async () => {
    await using market = await open();
    const none = await market.look("JP");
    assert.ok(!none.found && none.asked > 0, JSON.stringify(none));
    const alone = await market.look("US", ["gossip"]);
    assert.ok(alone.found && alone.asked > 0, JSON.stringify(alone));
  });
});
