import assert from "node:assert/strict";
import { openMarket, type Part } from "../fault/support/market.ts";
import { connectOnce, connectSoon, download, sessionNow } from "../fault/support/use.ts";
import { describe } from "../support/harness.ts";
import { until } from "../support/until.ts";

const MiB = 1 << 20;
/** what may be carried until the next look, and what was already bought */
const lateBytes = 16 * MiB;

describe("serve --monthly-cap", (test) => {
  test(
    "ends what runs, refuses what comes, says so in the offer, and is not forgotten when the exit is killed",
    async () => {
      await using market = await openMarket({ priceGib: "0.001", serving: ["--monthly-cap", "24MiB"] });
      const { exit } = market;
      const payer = market.payers[0] as Part;
      await Promise.all([exit.start(), payer.start()]);
      const connection = await connectSoon(market, payer);
      const got = await download(market, connection, BigInt(200 * MiB)).over;
      assert.ok(got >= 23 * MiB && got < 24 * MiB + lateBytes, `${got / MiB} MiB came`);
      await until(async () => (await sessionNow(payer)) === undefined);
      const { sessions } = await payer.api.call("sessions");
      const [session] = sessions;
      assert.match(session?.reason ?? "", /EXIT_FULL.*has carried the 24\.0 MiB that it may in \d{4}-\d\d/);

      const serving = async () => (await exit.api.call("status")).serving;
      const offered = async () => (await payer.api.call("exits", {})).exits.find(({ peer }) => peer === exit.peer);
      const isFull = async () => {
        const { sessions, maxSessions } = (await offered()) ?? {};
        return sessions !== undefined && sessions === maxSessions;
      };
      assert.match((await serving())?.closed ?? "", /has carried/);
      await until(isFull, 30_000);
      await assert.rejects(connectOnce(market, payer), { code: "EXIT_FULL" });

      const before = (await serving())?.carried ?? 0n;
      await exit.kill();
      await exit.start();
      const after = await serving();
      assert.ok((after?.carried ?? 0n) >= before);
      assert.match(after?.closed ?? "", /has carried/);
    },
    { timeoutMs: 120_000 },
  );
});
