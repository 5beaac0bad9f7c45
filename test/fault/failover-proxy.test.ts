import assert from "node:assert/strict";
import { visit } from "../../src/devnet/visit.ts";
import type { NodeEvent } from "../../src/node/types.ts";
import { describe } from "../support/harness.ts";
import { until } from "../support/until.ts";
import { openMarket, type Part } from "./support/market.ts";
import { connectToAny, download, sessionNow } from "./support/use.ts";

describe("fault/failover: a proxy outlives its exit", (test) => {
  test(
    "programs find it where it was, and what they ask for in between waits; a download that was on its way is cut off",
    async () => {
      await using market = await openMarket({ exits: 2 });
      const payer = market.payers[0] as Part;
      await Promise.all([...market.exits.map((exit) => exit.start()), payer.start()]);
      const connection = await connectToAny(market, payer);
      const told: NodeEvent[] = [];
      void (async () => {
        for await (const { event } of payer.api.stream("events", {})) told.push(event);
      })().catch(() => undefined);
      const now = async () => (await payer.api.call("status")).connection;
      const page = async () => (await visit(`${market.webUrl}/bytes?n=1000`, { socks: connection.endpoint.socks ?? "" })).bytes;
      const carrying = async () => {
        const session = await sessionNow(payer);
        return market.exits.find(({ peer }) => peer === session?.peer) as Part;
      };
      await until(async () => (await now())?.failover.standby !== undefined);
      const exit = await carrying();
      assert.equal(await page(), 1_000);
      const cut = download(market, connection, 1n << 30n);
      await until(() => cut.bytes() > 2 ** 20);
      await exit.kill();
      assert.equal(await page(), 1_000);
      assert.notEqual((await carrying()).name, exit.name);
      assert.ok((await cut.over) < 2 ** 30);
      const switches = told.flatMap((event) => (event.type === "failover" && event.step.what === "switched" ? [event.step] : []));
      assert.equal(switches.length, 1);
      assert.deepEqual((await now())?.failover.switches.length, 1);
      const { session, sessions } = await payer.api.call("disconnect");
      assert.equal(sessions.length, 2);
      assert.equal(session.id, sessions.at(-1)?.id);
      await assert.rejects(page());
      const records = (await payer.api.call("sessions")).sessions;
      assert.deepEqual(records.map(({ id }) => id).sort(), sessions.map(({ id }) => id).sort());
      for (const part of [payer, ...market.exits.filter((one) => one !== exit)])
        assert.equal(await part.stop(), 0, `${part.name} did not end by itself`);
    },
    { timeoutMs: 240_000 },
  );
});
