import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { describe } from "../../support/harness.ts";
import { until } from "../../support/until.ts";
import { enterNamespaces } from "../backend/rig.ts";
import type { Way } from "../support/agent.ts";
import { exitConfig, type Market, openMarket } from "./market.ts";

const skip = enterNamespaces(fileURLToPath(import.meta.url));
const MiB = 1024 * 1024;
const speed = { perClient: 16_000_000, whole: 20_000_000 };
const bytes = 1.5 * MiB;
/** what so many bytes take at a speed; a busy machine only ever takes longer */
const leastMs = (count: number, bits: number) => (0.8 * count * 8_000) / bits;

describe("helper: an exit with speed limits", (test, { before, after }) => {
  let market: Market;
  const transfer = async (name: string, way: Way) => {
    const { ms } = await market.client(name).user.ask({ do: "transfer", host: market.host("target").address, way, bytes });
    return ms;
  };
  /** each queue gets another number each time it is made */
  const limits = () => {
    const { ifname } = market.opened;
    return market
      .host("exit")
      .run(`tc class show dev ${ifname}; tc filter show dev ${ifname} ingress`)
      .replaceAll(/leaf \S+/g, "");
  };

  before(async () => {
    market = await openMarket(["one", "two"], { config: { ...exitConfig, speed } });
    for (const name of ["one", "two"]) await market.credit(name, 500 * MiB);
  });
  after(() => market?.end());

  for (const way of ["down", "up"] as const) {
    test(
      `one client has at most its own speed ${way}`,
      async () => {
        const ms = await transfer("one", way);
        console.log(`${way}: ${Math.round((bytes * 8) / ms / 100) / 10} of ${speed.perClient / 1e6} Mbit/s`);
        assert.ok(ms > leastMs(bytes, speed.perClient), `${ms} ms`);
      },
      { skip },
    );

    test(
      `two clients have at most that of all together ${way}`,
      async () => {
        const [one, two] = await Promise.all([transfer("one", way), transfer("two", way)]);
        console.log(`${way}: ${Math.round((2 * bytes * 8) / Math.max(one, two) / 100) / 10} of ${speed.whole / 1e6} Mbit/s together`);
        assert.ok(Math.max(one, two) > leastMs(2 * bytes, speed.whole), `${one} and ${two} ms`);
      },
      { skip },
    );
  }

  test(
    "what somebody else has taken away stands again; meanwhile the same goes faster",
    async () => {
      const before = limits();
      const { ifname } = market.opened;
      const unlimited = async () => {
        await until(() => limits() === before, 20_000);
        market.host("exit").run(`tc qdisc del dev ${ifname} root; tc qdisc del dev ${ifname} ingress`);
        return Math.max(await transfer("one", "down"), await transfer("one", "up"));
      };
      let ms = await unlimited();
      // the look that mends it may come in between
      for (let i = 0; i < 5 && ms > leastMs(bytes, speed.perClient); i += 1) ms = await unlimited();
      assert.ok(ms < leastMs(bytes, speed.perClient), `${ms} ms`);
      await until(() => limits() === before, 20_000);
      assert.ok((await transfer("one", "down")) > leastMs(bytes, speed.perClient));
    },
    { skip, timeoutMs: 90_000 },
  );
});
