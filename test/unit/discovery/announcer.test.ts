import assert from "node:assert/strict";
import { createAnnouncer } from "../../../src/discovery/announcer.ts";
import { silentLogger } from "../../../src/lib/ports.ts";
import { describe } from "../../support/harness.ts";
import { createVirtualClock } from "../../support/simulation/clock.ts";
import { offerOf } from "../../support/simulation/market.ts";
import { identity, market, memoryStore, startMs } from "./offers.ts";

describe("discovery/announcer: who begins to listen", (test) => {
  test("has an offer announced that nobody has heard, and no other", async () => {
    const clock = createVirtualClock(startMs);
    let neighbours = 0;
    let published = 0;
    const network = {
      peerId: identity(1).peerId,
      addresses: () => [`/ip4/45.1.2.3/tcp/4480/p2p/${identity(1).peerId}`],
      onAddresses: () => () => undefined,
      publish: async () => {
        published += 1;
        return neighbours;
      },
      provide: async () => undefined,
    };
    const announcer = await createAnnouncer({
      ...{ network, clock, identity: identity(1), store: memoryStore(), log: silentLogger, domain: market },
      ...{ marketSize: () => 1, exchange: async () => undefined },
    });
    await announcer.announce(offerOf("US"));
    // past those that are repeated soon after the first
    await clock.pass(61_000);
    const listens = async () => {
      const before = published;
      announcer.unheard();
      await clock.pass(1_000);
      return published - before;
    };
    assert.equal(await listens(), 1);
    neighbours = 1;
    assert.equal(await listens(), 1);
    assert.equal(await listens(), 0);
    await clock.until(announcer.stop());
  });
});
