import assert from "node:assert/strict";
import { describe } from "../support/harness.ts";
import { buyAlone, clears, enough, openAlone, stranger } from "./support/alone.ts";
import type { Market } from "./support/market.ts";

describe("fault/alone: bootstrap peer, chain and all others are gone", (register, { before, after }) => {
  const test = (name: string, work: () => Promise<void>) => register(name, work, { timeoutMs: 240_000 });
  let market: Market;
  before(
    async () => {
      market = await openAlone();
    },
    { timeoutMs: 240_000 },
  );
  after(async () => market[Symbol.asyncDispose]());

  test("a node that ran before finds an exit of the country, is served and pays; also after it was killed", async () => {
    for (const ending of ["kill", "stop"] as const) {
      const found = await buyAlone(market, ending);
      assert.ok(enough(found), `${found.bytes} bytes came, ${found.paid} was paid`);
    }
  });

  test("the row would see it: one that never ran before finds nobody, for nobody is left to tell it", async () => {
    assert.equal(await stranger(market), 0);
  });

  test("once the chain is back all that was promised meanwhile is cleared", async () => {
    assert.equal(await clears(market), true);
  });
});
