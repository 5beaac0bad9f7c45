import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { describe } from "../../support/harness.ts";
import { until } from "../../support/until.ts";
import { enterNamespaces } from "../backend/rig.ts";
import { type Market, openMarket, settled } from "./market.ts";

const skip = enterNamespaces(fileURLToPath(import.meta.url));
const MiB = 1024 * 1024;
/** what may be on its way when credit ends */
const inFlight = 256 * 1024;
/** a full one: less is not used up by a transfer */
const packetBytes = 1312;

describe("helper: an exit with two clients", (test, { before, after }) => {
  let market: Market;
  /** all that the exit has carried for a client, as WireGuard counts */
  const carried = async (name: string) => {
    const { rx, tx } = await market.counters(name);
    return rx + tx;
  };
  const targetAddress = () => market.host("target").address;

  before(async () => {
    market = await openMarket(["one", "two"]);
  });
  after(() => market?.end());

  test(
    "nothing passes before credit, and the target sees the exit's address",
    async () => {
      const page = market.client("one").user.ask({ do: "fetch", host: targetAddress() });
      const before = market.routerBytes("target");
      await settled(() => carried("one"), 500);
      assert.equal(market.routerBytes("target"), before);
      await market.credit("one", MiB);
      assert.equal((await page).text, market.host("exit").address);
    },
    { skip, timeoutMs: 60_000 },
  );

  for (const way of ["down", "up"] as const)
    test(
      `forwarding ${way} stops when the credit is used up, and goes on with more`,
      async () => {
        const begun = await settled(() => carried("one"), 500);
        const atRouter = market.routerBytes(way === "down" ? "one" : "target");
        const credit = begun + 2 * MiB;
        await market.credit("one", credit);
        const transfer = market.client("one").user.ask({ do: "transfer", host: targetAddress(), way, bytes: 6 * MiB });
        // a transfer may pause for a second and more when packets are lost, as they are on a busy machine: what ends it is the credit's end
        await until(() => market.wgBytes("one") > credit - packetBytes, 40_000);
        const passed = async () => market.routerBytes(way === "down" ? "one" : "target") - atRouter;
        const bytes = await settled(passed, 500);
        console.log(
          `${way}: ${bytes - 2 * MiB} bytes beyond a credit of ${2 * MiB} at the router, ${(await carried("one")) - credit} counted`,
        );
        assert.ok(bytes < 2 * MiB + inFlight, `${bytes} bytes passed`);
        assert.ok(bytes > 1.7 * MiB, `${bytes} bytes passed`);
        await market.credit("one", credit + 20 * MiB);
        await transfer;
      },
      { skip, timeoutMs: 60_000 },
    );

  test(
    "small packets are no way around it",
    async () => {
      const begun = await carried("two");
      await market.credit("two", begun + MiB);
      const atRouter = market.routerBytes("target");
      const code = `const s=require("dgram").createSocket("udp4");let n=0;const go=()=>{if(n++>250)return s.close();for(let i=0;i<20;i++)s.send(Buffer.alloc(8),9,"${targetAddress()}");setImmediate(go)};go()`;
      // a busy machine loses many of a burst before WireGuard sees them: bursts, until the credit is used up, and one more
      const burst = async () => market.host("two").run(`'${process.execPath}' -e '${code}'`);
      await until(() => burst().then(() => market.wgBytes("two") > begun + MiB), 40_000);
      await burst();
      const packets = (market.routerBytes("target") - atRouter) / (28 + 8);
      // each is 36 bytes in the tunnel: padded to 48, and 32 more
      console.log(`${Math.round(packets)} packets of 80 bytes for a credit of ${MiB / 80} packets`);
      assert.ok(packets * 80 < MiB + inFlight, `${packets} packets passed`);
      assert.ok(packets * 80 > 0.7 * MiB, `${packets} packets passed`);
    },
    { skip, timeoutMs: 60_000 },
  );

  test(
    "counters are accurate: where nothing is lost, both ends agree to the byte",
    async () => {
      await market.credit("one", (await settled(() => carried("one"), 500)) + 50 * MiB);
      const { side, user } = market.client("one");
      const both = async () => {
        const near = await market.counters("one");
        return { near, far: await side.ask({ do: "clientCounters" }) };
      };
      const before = await both();
      const agree = async () => {
        const { near, far } = await both();
        return near.tx - before.near.tx === far.rx - before.far.rx && near.rx - before.near.rx === far.tx - before.far.tx;
      };
      for (let i = 0; i < 50; i += 1) await user.ask({ do: "fetch", host: targetAddress() });
      // each end is read for itself, and a keepalive may come in between: once all is told they do agree, or they never will
      await until(agree);
      assert.ok((await both()).far.rx - before.far.rx > 10_000);
    },
    { skip, timeoutMs: 60_000 },
  );

  test(
    "time that is over stops it as well, also while the node is stopped",
    async () => {
      const { user } = market.client("one");
      await market.credit("one", (await carried("one")) + 500 * MiB, 1500);
      const began = performance.now();
      market.exit.signal("SIGSTOP");
      let over = false;
      const transfer = user.ask({ do: "transfer", host: targetAddress(), way: "down", bytes: 400 * MiB }).finally(() => {
        over = true;
      });
      transfer.catch(() => undefined);
      const before = market.routerBytes("one");
      await until(() => market.routerBytes("one") > before);
      await until(() => market.isShut("one"));
      console.log(`stopped ${Math.round(performance.now() - began)} ms after a lease of 1500 ms began`);
      const whenStopped = await settled(() => market.routerBytes("one"), 500);
      assert.equal(over, false);
      assert.equal(await settled(() => market.routerBytes("one"), 1000), whenStopped);
      market.exit.signal("SIGCONT");
      await market.credit("one", (await carried("one")) + 900 * MiB);
      await transfer;
    },
    { skip, timeoutMs: 90_000 },
  );

  test(
    "with the node stopped, only what was promised passes",
    async () => {
      const { user } = market.client("two");
      const begun = await settled(() => carried("two"), 500);
      await market.credit("two", begun + 3 * MiB);
      await settled(() => carried("two"), 300);
      market.exit.signal("SIGSTOP");
      const atRouter = market.routerBytes("two");
      const transfer = user.ask({ do: "transfer", host: targetAddress(), way: "down", bytes: 8 * MiB });
      transfer.catch(() => undefined);
      await until(() => market.wgBytes("two") > begun + 3 * MiB - packetBytes, 40_000);
      const bytes = (await settled(() => market.routerBytes("two"), 500)) - atRouter;
      console.log(`node stopped: ${bytes - 3 * MiB} bytes beyond a credit of ${3 * MiB}`);
      assert.ok(bytes < 3 * MiB + inFlight && bytes > 2 * MiB, `${bytes} bytes passed`);
      market.exit.signal("SIGCONT");
      await market.credit("two", begun + 40 * MiB);
      await transfer;
    },
    { skip, timeoutMs: 60_000 },
  );

  test(
    "after dismissal nothing passes, and its last counters are told",
    async () => {
      const { key } = market.client("two");
      const before = await settled(() => carried("two"), 500);
      const last = await market.exit.ask({ do: "dismiss", key });
      assert.ok(last.rx + last.tx >= before);
      const atRouter = market.routerBytes("target");
      market
        .client("two")
        .user.ask({ do: "fetch", host: targetAddress() })
        .catch(() => undefined);
      const asked = market.routerBytes("exit");
      await until(() => market.routerBytes("exit") > asked);
      await settled(() => market.routerBytes("exit"), 1000);
      assert.equal(market.routerBytes("target"), atRouter);
    },
    { skip, timeoutMs: 90_000 },
  );
});
