import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { MiB } from "../../../src/lib/units.ts";
import { describe } from "../../support/harness.ts";
import { until } from "../../support/until.ts";
import { enterNamespaces } from "../backend/rig.ts";
import type { Host } from "../support/internet.ts";
import { openTunnelMarket, type TunnelMarket } from "../support/market.ts";

const skip = enterNamespaces(fileURLToPath(import.meta.url));

/** All that a connection may change on its host, as text that is equal where nothing differs. */
const look = (host: Host): string =>
  host.run(
    "nft -s list ruleset; ip -4 rule; ip -6 rule; ip -4 route show table all; ip -6 route show table all; ip -o link | cut -d' ' -f2; grep -r . /proc/sys/net/ipv4/conf /proc/sys/net/ipv4/ip_forward 2>/dev/null | sort",
  );
const bytes = 4 * Number(MiB);

describe("tunnel/service: two nodes, run by commands", (register, { before, after }) => {
  const test = (name: string, work: () => Promise<void>) => register(name, work, { skip, timeoutMs: 90_000 });
  let market: TunnelMarket;
  let untouched = "";
  before(
    async () => {
      market = await openTunnelMarket();
      await market.startExit();
      // the kernel is done with the device's own IPv6 address when nobody else on the link has it, a second or two after it is up
      await until(() => market.consumer.host.run("ip -6 -o address show dev eth0 scope link -tentative") !== "");
      untouched = look(market.consumer.host);
    },
    { timeoutMs: 60_000 },
  );
  after(async () => market[Symbol.asyncDispose]());

  const fetched = async () => (await market.user.ask({ do: "fetch", host: market.target.address })).text;
  const status = () => market.consumer.api.call("status");
  const session = async (side: "consumer" | "exit") => (await market[side].api.call("sessions")).sessions[0];

  test("the target sees the exit's address, by whatever program; the node has no privileges", async () => {
    assert.equal(await fetched(), market.consumer.host.address, "without a tunnel it sees our own");
    await market.startConsumer();
    // the tunnel is up a moment before the connection is one
    await until(async () => (await status()).connection !== undefined);
    const now = await status();
    assert.deepEqual([now.tunnel?.intent, now.tunnel?.fact, now.connection?.service], ["secured", "up", "wireguard"]);
    assert.equal(now.connection?.endpoint.via, `${market.exit.host.address}:51820`);
    assert.equal(now.connection?.endpoint.presharedKey, "ml-kem-768");
    assert.equal(await fetched(), market.exit.host.address);
    for (const node of [market.consumer, market.exit])
      assert.match(node.host.run(`grep ^Uid: /proc/${node.pid()}/status`), /^Uid:\s65534\s65534\s65534\s65534/);
    const { serving } = await market.exit.api.call("status");
    const [sold] = serving?.services ?? [];
    assert.ok(sold?.kind === "wireguard" && sold.backend !== undefined && sold.listenPort === 51_820);
  });

  test("what is carried is metered on both sides alike, and paid before it is", async () => {
    const before = (await status()).connection?.usedBytes ?? 0n;
    await market.user.ask({ do: "transfer", host: market.target.address, way: "down", bytes });
    await market.user.ask({ do: "transfer", host: market.target.address, way: "up", bytes });
    // counters are read a few times a second
    await until(async () => ((await status()).connection?.usedBytes ?? 0n) - before >= 2n * BigInt(bytes));
    const now = (await status()).connection;
    const used = (now?.usedBytes ?? 0n) - before;
    // headers, acknowledgements, and what was sent again
    assert.ok(used < 4n * BigInt(bytes), `${used} for ${2 * bytes}`);
    assert.ok((now?.billedBytes ?? 0n) >= (now?.usedBytes ?? 0n));
  });

  test("who disconnects finds the host as it was, to the letter; both ends agree on the count, within a hundredth", async () => {
    const ours = JSON.parse(market.consumer.command(["disconnect", "--wait", "--json"])).session;
    await market.consumer.stop();
    assert.equal(look(market.consumer.host), untouched);
    assert.equal(await fetched(), market.consumer.host.address);
    await until(async () => (await session("exit"))?.endedMs !== undefined);
    const theirs = await session("exit");
    assert.match(theirs?.state ?? "", /^CLEAR/);
    assert.equal(theirs?.service, "wireguard");
    const apart = Number(theirs?.usedBytes ?? 0n) / Number(ours.usedBytes);
    assert.ok(apart > 0.99 && apart < 1.01, `${theirs?.usedBytes} and ${ours.usedBytes}`);
  });

  const loseTheExit = async () => {
    await market.startConsumer();
    assert.equal(await fetched(), market.exit.host.address);
    process.kill(market.exit.pid(), "SIGKILL");
    await until(() =>
      status().then(
        () => false,
        () => true,
      ),
    );
    assert.equal(await market.consumer.stop(), 7);
    await assert.rejects(fetched());
    await market.exit.stop();
  };

  test("when the exit goes, nothing leaves the host; to connect again works through its own kill switch", async () => {
    await loseTheExit();
    await market.startExit();
    await market.startConsumer();
    assert.equal(await fetched(), market.exit.host.address);
    await market.consumer.stop();
    assert.equal(look(market.consumer.host), untouched);
  });

  test("'block' closes a machine without a tunnel; a connection opens one through it, and 'disconnect' opens the machine", async () => {
    assert.match(market.consumer.command(["block"]), /nothing leaves this machine/);
    await assert.rejects(fetched());
    await market.startConsumer();
    assert.equal(await fetched(), market.exit.host.address);
    await market.consumer.stop();
    assert.equal(look(market.consumer.host), untouched);
    market.consumer.command(["block"]);
    assert.match(market.consumer.command(["disconnect"]), /kill switch is lifted/);
    assert.equal(look(market.consumer.host), untouched);
  });

  test("'disconnect' lifts what is left, with no node running", async () => {
    await loseTheExit();
    assert.throws(() => market.consumer.command(["status"]), /its connection still stands/);
    assert.match(market.consumer.command(["disconnect"]), /kill switch is lifted/);
    assert.equal(look(market.consumer.host), untouched);
    assert.equal(await fetched(), market.consumer.host.address);
  });
});
