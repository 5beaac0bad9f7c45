import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { closed } from "../../../src/services/wireguard/types.ts";
import { describe } from "../../support/harness.ts";
import { until } from "../../support/until.ts";
import { enterNamespaces } from "../backend/rig.ts";
import { type Market, openMarket } from "./market.ts";

const skip = enterNamespaces(fileURLToPath(import.meta.url));
const MiB = 1024 * 1024;

describe("helper: --kill-switch off", (test, { before, after }) => {
  let market: Market;
  const page = async () => (await market.client("one").user.ask({ do: "fetch", host: market.host("target").address })).text;
  const tables = () => market.host("one").run("nft list tables");
  const ask = (order: Parameters<ReturnType<Market["client"]>["side"]["ask"]>[0]) => market.client("one").side.ask(order);

  before(async () => {
    market = await openMarket(["one"]);
    await market.credit("one", 50 * MiB);
  });
  after(() => market?.end());

  test(
    "while the tunnel is up everything goes through it; when it goes, everything leaves as without one",
    async () => {
      assert.equal(await page(), market.host("exit").address);
      await ask({ do: "secure", options: { ...closed, killSwitch: false } });
      assert.deepEqual(await ask({ do: "state" }), { intent: "unguarded", fact: "up" });
      assert.equal(await page(), market.host("exit").address);
      await ask({ do: "block", reason: "it is lost" });
      assert.deepEqual(await ask({ do: "state" }), { intent: "unguarded", fact: "down", problem: "it is lost" });
      assert.equal(tables().includes("mystnode"), false);
      assert.equal(await page(), market.host("one").address);
    },
    { skip },
  );

  test(
    "switched on again it blocks at once, and with the helper killed it stays",
    async () => {
      await ask({ do: "secure", options: closed });
      for (const table of ["mystnode_ks", "mystnode_hold"]) assert.ok(tables().includes(table), table);
      market.client("one").side.signal("SIGKILL");
      // what only the helper may change goes with it
      await until(() => !tables().includes("mystnode_hold"));
      assert.match(tables(), /mystnode_ks/);
    },
    { skip },
  );
});
