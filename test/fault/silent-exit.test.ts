import assert from "node:assert/strict";
import { larger } from "../../src/lib/bigint.ts";
import type { SessionView } from "../../src/node/types.ts";
import { quantumMoney } from "../../src/payments/quantum.ts";
import { due, type Usage } from "../../src/payments/terms.ts";
import { describe } from "../support/harness.ts";
import { until } from "../support/until.ts";
import { type Market, openMarket, type Part } from "./support/market.ts";
import { standStill } from "./support/stopped.ts";
import { type Connected, connectSoon, download, sessionNow } from "./support/use.ts";

/** One quantum: of this session, or what is left of an earlier session's, which is used first. */
const atStake = (session: SessionView, served: Usage): bigint => larger(quantumMoney(session, served.bytes), session.carriedIn);

/** Base units prepaid, now or earlier, for what was not served, over one quantum; at most 0 when the consumer has lost no more than it may. */
const lossOver = (session: SessionView, served: Usage): bigint =>
  session.carriedIn + session.promised - due(session, served) - atStake(session, served);

const MiB = 2 ** 20;

const moments: Record<string, (market: Market, connection: Connected) => Promise<unknown>> = {
  "in the middle of a download": async (market, connection) => {
    const running = download(market, connection, 1n << 30n);
    await until(() => running.bytes() > 4 * MiB);
  },
  // then no purchase is under way that would keep the consumer from the next
  "at rest": (market, connection) => download(market, connection, 1000n).over,
};

describe("fault/silent-exit: an exit that stops forwarding", (test, { before, after }) => {
  let market: Market;
  let payer: Part;
  before(
    async () => {
      // five seconds cost as much as a MiB here: both halves of a quantum show
      market = await openMarket({ priceGib: "10.24", priceHour: "7.2" });
      payer = market.payers[0] as Part;
      await Promise.all([market.exit.start(), payer.start()]);
    },
    { timeoutMs: 180_000 },
  );
  after(async () => market[Symbol.asyncDispose]());

  for (const [moment, reach] of Object.entries(moments))
    test(
      `${moment}, costs its consumer at most one quantum; the session ends, and another begins when the exit is back`,
      async () => {
        const connection = await connectSoon(market, payer);
        await reach(market, connection);
        using still = standStill(market.exit.process().pid);
        const stopped = await sessionNow(payer);
        assert.ok(stopped);
        await until(async () => (await sessionNow(payer)) === undefined, 60_000);

        const { session } = await payer.api.call("session", { id: connection.sessionId });
        assert.match(session.reason ?? "", /^(PEER_TIMEOUT|PEER_UNREACHABLE)/);
        const served = { bytes: session.usedBytes, ms: stopped.usedMs };
        const over = lossOver(session, served);
        assert.ok(over <= 0n, `${over} lost beyond a quantum of ${atStake(session, served)}`);
        // what another quantum would have cost, bought after the stop, shows
        assert.ok(lossOver({ ...session, promised: session.promised + atStake(session, served) }, served) > 0n);

        still.go();
        const again = await connectSoon(market, payer);
        assert.equal(await download(market, again, BigInt(MiB)).over, MiB);
        assert.equal((await payer.api.call("disconnect")).session.reason, undefined);
      },
      { timeoutMs: 180_000 },
    );
});
