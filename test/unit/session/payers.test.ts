import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { silentLogger } from "../../../src/lib/ports.ts";
import { clearEarly, limitsFor } from "../../../src/session/newcomers.ts";
import { describe } from "../../support/harness.ts";
import { sessionMarket } from "../../support/session-market.ts";

const payer = `0x${"aa".repeat(20)}` as const;
const other = `0x${"bb".repeat(20)}` as const;

describe("session: whom an exit serves", (test) => {
  type Lists = NonNullable<NonNullable<Parameters<typeof sessionMarket>[0]>["lists"]>;
  const refuses = async (lists: Lists) => {
    await using market = await sessionMarket({ lists });
    await assert.rejects(market.open(), { code: "PAYER_REFUSED" });
    assert.deepEqual(market.server.sessions(), []);
    assert.equal(market.providerLedger.channels().length, 0, "its promise was not taken");
  };
  const serves = async (lists: Lists) => {
    await using market = await sessionMarket({ lists });
    const session = await market.open();
    await session.disconnect();
  };

  test("everybody, unless lists say otherwise", async () => {
    await serves(() => ({}));
    await serves(() => ({ blockPayers: [other] }));
  });
  test("nobody who is blocked, and with a list of those who are let in nobody else", async () => {
    await refuses((signer) => ({ blockPayers: [other, signer] }));
    await refuses(() => ({ allowPayers: [other] }));
    await refuses((signer) => ({ allowPayers: [signer], blockPayers: [signer] }));
    await serves((signer) => ({ allowPayers: [other, signer] }));
  });
});

describe("session/newcomers: what a payer may owe that never cleared anything here", (test) => {
  const deps = (cleared: boolean, { worth = 0n, unsettled = 0n } = {}) => {
    const relieved: string[] = [];
    const done = Promise.withResolvers<void>();
    return {
      relieved,
      done,
      ledger: { hasCleared: () => cleared, unsettled: () => unsettled },
      settler: {
        worthClearing: () => worth,
        relieve: (signer?: string) => {
          relieved.push(signer ?? "");
          return done.promise;
        },
      },
      limits: { maxUnsettled: 400n, minBond: 1n },
      log: silentLogger,
    };
  };

  test("a quarter, but twice what is worth clearing, and never more than others", () => {
    assert.deepEqual(limitsFor(deps(true), payer), { maxUnsettled: 400n, minBond: 1n });
    assert.equal(limitsFor(deps(false), payer).maxUnsettled, 100n);
    assert.equal(limitsFor(deps(false, { worth: 80n }), payer).maxUnsettled, 160n);
    assert.equal(limitsFor(deps(false, { worth: 1_000n }), payer).maxUnsettled, 400n);
  });

  test("from half of it on it is cleared, once at a time; again after a failure; not for those who have", async () => {
    const calm = deps(false, { unsettled: 49n });
    clearEarly(calm)(payer);
    const known = deps(true, { unsettled: 399n });
    clearEarly(known)(payer);
    assert.deepEqual([calm.relieved, known.relieved], [[], []]);
    const busy = deps(false, { unsettled: 50n });
    const clear = clearEarly(busy);
    for (const signer of [payer, payer, other, payer]) clear(signer);
    assert.deepEqual(busy.relieved, [payer, other]);
    busy.done.reject(new Error("no RPC"));
    await new Promise((resolve) => setImmediate(resolve));
    clear(payer);
    assert.deepEqual(busy.relieved, [payer, other, payer]);
  });

  test("in a session: without clearing it gets no further than its limit, and with it as far as it likes", async () => {
    const maxUnsettled = 16n << 20n;
    const carried = async (clears: boolean) => {
      await using market = await sessionMarket({ maxUnsettled, clears });
      const session = await market.open();
      const want = maxUnsettled / 2n;
      let got = 0n;
      for (let quietMs = 0; got < want && quietMs < 1_500; quietMs += 20) {
        const more = market.service.take(1n << 20n);
        if (more > 0n) quietMs = 0;
        got += more;
        await pause(20);
      }
      const owed = market.providerLedger.unsettled(market.payer.address);
      await session.disconnect().catch(() => undefined);
      return { got, owed, relieved: market.relieved.length };
    };
    const free = await carried(true);
    assert.ok(free.got >= maxUnsettled / 2n && free.relieved > 0, `${free.got} of ${maxUnsettled / 2n}`);
    const held = await carried(false);
    assert.ok(held.owed <= maxUnsettled / 4n && held.got < maxUnsettled / 2n, `${held.got} carried, ${held.owed} owed`);
  });
});
