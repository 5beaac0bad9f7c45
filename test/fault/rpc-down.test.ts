import assert from "node:assert/strict";
import { isMystError } from "../../src/lib/errors.ts";
import { due } from "../../src/payments/terms.ts";
import { describe } from "../support/harness.ts";
import { until } from "../support/until.ts";
import { type Market, myst, openMarket, type Part } from "./support/market.ts";
import { connectOnce, connectSoon, download } from "./support/use.ts";

const MiB = 2 ** 20;
/** bond / 8: what one payer may owe an exit that cannot clear */
const bound = myst / 8n;

const owed = async ({ api }: Part) => (await api.call("channels")).channels.filter(({ role }) => role === "provider");
const allPaid = (exit: Part, by?: Part) => async () =>
  (await owed(exit)).filter(({ signer }) => !by || signer === by.address).every(({ paid, cumulative }) => paid === cumulative);

describe("fault/rpc-down: the chain is away", (test, { before, after }) => {
  let market: Market;
  let exit: Part;
  let known: Part;
  let stranger: Part;
  before(
    async () => {
      // a payer's whole bound is 12.2 MiB
      market = await openMarket({ priceGib: "10.24", payers: 2 });
      ({ exit } = market);
      [known, stranger] = market.payers as [Part, Part];
      await exit.start();
      await Promise.all([known.start(), stranger.start()]);
      await download(market, await connectSoon(market, known), BigInt(MiB)).over;
      await known.api.call("disconnect");
      await until(allPaid(exit));
    },
    { timeoutMs: 180_000 },
  );
  after(async () => market[Symbol.asyncDispose]());

  test(
    "an exit that starts meanwhile serves a payer that it has read before, up to its bound, and clears by itself once the chain is back",
    async () => {
      await market.line.become("down");
      assert.equal(await exit.stop(), 0);
      await exit.start();
      const connection = await connectSoon(market, known);
      const got = await download(market, connection, 64n * BigInt(MiB)).over;
      const [channel] = await owed(exit);
      assert.ok(channel && channel.cumulative - channel.paid <= bound, `${channel?.cumulative} promised, ${channel?.paid} paid`);
      assert.ok(got > 6 * MiB, `only ${got} bytes came`);
      await until(async () => (await known.api.call("status")).connection === undefined);
      const { session } = await known.api.call("session", { id: connection.sessionId });
      assert.match(session.reason ?? "", /PROMISE_REFUSED: more is unsettled here than one payer may owe/);
      assert.ok(due(session, { bytes: BigInt(got), ms: 0 }) <= channel.cumulative);

      await market.line.become("up");
      await until(allPaid(exit), 120_000);
      const [cleared] = await owed(exit);
      assert.equal(await market.chain.paid(known.address, cleared?.channel ?? "0x"), channel.cumulative);
      assert.equal((await market.chain.balances(exit.address)).tokens, channel.cumulative);
    },
    { timeoutMs: 300_000 },
  );

  for (const state of ["down", "silent"] as const)
    test(
      `a payer that it has never read is refused, with a code that says so, while the chain is ${state}`,
      async () => {
        await market.line.become(state);
        await assert.rejects(connectOnce(market, stranger), (error) => {
          assert.ok(isMystError(error, "PROMISE_REFUSED"), String(error));
          assert.match(error.message, /account has not been read/);
          return true;
        });
      },
      { timeoutMs: 120_000 },
    );

  test(
    "both end when asked, although nothing that asks the chain is ever answered, and go on when it is back",
    async () => {
      await market.line.become("silent");
      const connection = await connectSoon(market, known);
      await download(market, connection, BigInt(MiB)).over;
      assert.deepEqual(await Promise.all([exit.stop(), known.stop()]), [0, 0]);
      await exit.start();
      await market.line.become("up");
      // what the stranger has signed for what it was refused may come back too: no more than its first quantum, and not worth a claim yet
      await until(allPaid(exit, known), 120_000);
      assert.equal(await download(market, await connectSoon(market, stranger), BigInt(MiB)).over, MiB);
      await stranger.api.call("disconnect");
      await until(allPaid(exit), 60_000);
    },
    { timeoutMs: 300_000 },
  );
});
