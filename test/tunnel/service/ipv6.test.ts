import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { MiB } from "../../../src/lib/units.ts";
import { describe } from "../../support/harness.ts";
import { until } from "../../support/until.ts";
import { enterNamespaces } from "../backend/rig.ts";
import type { Host } from "../support/internet.ts";
import { openTunnelMarket, type TunnelMarket } from "../support/market.ts";
import { nftHere } from "../support/router.ts";

const skip = enterNamespaces(fileURLToPath(import.meta.url));
const bytes = 4 * Number(MiB);

/** What an exit or a connection may change of IPv6 on a host, as text that is equal where nothing differs. */
const look = (host: Host): string =>
  host.run(
    "nft -s list ruleset; ip -6 rule; ip -6 route show table all; grep -r . /proc/sys/net/ipv6/conf/*/forwarding /proc/sys/net/ipv6/conf/*/accept_ra 2>/dev/null | sort",
  );

describe("tunnel/service: IPv6 by an exit that gives it", (register, { before, after }) => {
  const test = (name: string, work: () => Promise<void>) => register(name, work, { skip, timeoutMs: 120_000 });
  let market: TunnelMarket;
  const untouched: Record<string, string> = {};
  before(
    async () => {
      market = await openTunnelMarket({ serving: ["--ipv6", "--speed-limit", "100Mbit", "--speed-limit-all", "200Mbit"] });
      const { consumer, exit } = market;
      // a default route that a router has told of, for one
      exit.host.run("sysctl -qw net.ipv6.conf.eth0.accept_ra=1");
      for (const { host } of [consumer, exit]) {
        await until(() => host.run("ip -6 -o address show dev eth0 scope link -tentative") !== "");
        untouched[host.name] = look(host);
      }
      await market.startExit();
      const cable = consumer.host.cable;
      nftHere(`table inet ipv6_tap {
        counter outside { }
        chain in {
          type filter hook prerouting priority -400;
          iifname "${cable}" icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit } return
          iifname "${cable}" ip6 hoplimit 1 return
          iifname "${cable}" meta nfproto ipv6 counter name outside
        }
      }`);
    },
    { timeoutMs: 60_000 },
  );
  after(async () => market[Symbol.asyncDispose]());

  const fetched = async (host = market.target.address6) => (await market.user.ask({ do: "fetch", host })).text;
  const connection = async () => (await market.consumer.api.call("status")).connection;
  const outside = (): number =>
    Number(/packets (\d+)/.exec(execFileSync("nft", ["reset", "counter", "inet", "ipv6_tap", "outside"]).toString())?.[1]);

  test("the target sees the exit's IPv6 address, and the router nothing of it", async () => {
    outside();
    assert.equal(await fetched(), market.consumer.host.address6, "without a tunnel it sees our own");
    assert.ok(outside() > 0, "the router would see it");
    // the last packets of that connection
    await until(() => outside() === 0);
    await market.startConsumer();
    await until(async () => (await connection()) !== undefined);
    const { address, address6 } = (await connection())?.endpoint ?? {};
    assert.match(`${address} ${address6}`, /^10\.18\d\.0\.2 fd[0-9a-f:]+$/);
    assert.equal(await fetched(), market.exit.host.address6);
    assert.equal(await fetched(market.target.address), market.exit.host.address);
    assert.equal(outside(), 0);
  });

  /** what the queues of the first client's class have sent on, down and up */
  const shaped = () =>
    ["mystn0", "mystn0u"].map((device) => {
      const classes = market.exit.host.run(`tc -s class show dev ${device}`);
      return Number(/class htb 1:2 .*\n\s*Sent (\d+) bytes/.exec(classes)?.[1]);
    });

  test("what is carried of it is metered and paid, and goes through the client's own queues", async () => {
    const before = (await connection())?.usedBytes ?? 0n;
    const queued = shaped();
    for (const way of ["down", "up"] as const) await market.user.ask({ do: "transfer", host: market.target.address6, way, bytes });
    // counters are read a few times a second
    await until(async () => ((await connection())?.usedBytes ?? 0n) - before >= 2n * BigInt(bytes));
    const now = await connection();
    const used = (now?.usedBytes ?? 0n) - before;
    assert.ok(used < 4n * BigInt(bytes), `${used} for ${2 * bytes}`);
    assert.ok((now?.billedBytes ?? 0n) >= (now?.usedBytes ?? 0n));
    for (const [i, sent] of shaped().entries()) assert.ok(sent - (queued[i] ?? 0) > bytes, `${queued[i]} ${sent}`);
    assert.equal(outside(), 0);
  });

  test("the way takes no 1,280 bytes any more: IPv6 is refused, not one packet of it leaves, and IPv4 goes on", async () => {
    const { consumer, target, user } = market;
    await consumer.stop();
    await market.startConsumer();
    assert.equal(await fetched(), market.exit.host.address6);
    assert.notEqual((await connection())?.endpoint.address6, undefined);
    const rules = (side: "saddr" | "daddr") => `ip ${side} ${consumer.host.address} meta length > 1200 drop`;
    nftHere(`table inet narrow {
      chain from { type filter hook prerouting priority -450; ${rules("saddr")}; }
      chain to { type filter hook forward priority -450; ${rules("daddr")}; }
    }`);
    const mtu = () => Number(/mtu (\d+)/.exec(consumer.host.run("ip route show table 28025"))?.[1]);
    user.ask({ do: "transfer", host: target.address, way: "down", bytes }).catch(() => undefined);
    await until(() => mtu() < 1200, 60_000);
    outside();
    await assert.rejects(fetched());
    assert.equal(await fetched(target.address), market.exit.host.address);
    assert.equal((await connection())?.endpoint.address6, undefined, "it is said to be in use");
    assert.equal(outside(), 0);
    nftHere("delete table inet narrow");
  });

  test("who disconnects finds the host as it was; so does the exit, once it ends", async () => {
    await market.consumer.stop();
    assert.equal(look(market.consumer.host), untouched.consumer);
    await market.startConsumer();
    assert.equal(await fetched(), market.exit.host.address6);
    outside();
    process.kill(market.exit.pid(), "SIGKILL");
    await market.exit.stop();
    const isOver = () =>
      market.consumer.api.call("status").then(
        () => false,
        () => true,
      );
    await until(isOver, 60_000);
    assert.equal(await market.consumer.stop(), 7);
    await assert.rejects(fetched());
    assert.equal(outside(), 0);
    for (const node of [market.consumer, market.exit]) node.command(["cleanup"]);
    assert.equal(look(market.exit.host), untouched.exit);
  });

  test("an exit without a way out for IPv6 says so, and does not begin to serve", async () => {
    const { exit } = market;
    exit.host.run("ip -6 route del default");
    await assert.rejects(market.startExit(), /no way out for IPv6/);
    exit.host.run("ip -6 route add default via 2a10:2::1");
  });
});
