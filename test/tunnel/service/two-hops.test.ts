import assert from "node:assert/strict";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { MiB } from "../../../src/lib/units.ts";
import { describe } from "../../support/harness.ts";
import { until } from "../../support/until.ts";
import { enterNamespaces } from "../backend/rig.ts";
import { type Capture, startCapture } from "../support/capture.ts";
import { type Host, processesOn } from "../support/internet.ts";
import { type Exit, openTunnelMarket, type TunnelMarket } from "../support/market.ts";
import { hostLook } from "../support/namespaces.ts";

/** TCP connections from its own address, whether a process has them or not; without those that merely wait for stragglers (TIME_WAIT). */
const openConnections = (host: Host): number => Number(host.run(`ss -Htan state connected exclude time-wait src ${host.address} | wc -l`));

const skip = enterNamespaces(fileURLToPath(import.meta.url));
const bytes = 2 * Number(MiB);
const [tunnelPort, peerPort] = [51_820, 4_480];

describe("tunnel/service: two hops", (register, { before, after }) => {
  const test = (name: string, work: () => Promise<void>) => register(name, work, { skip, timeoutMs: 90_000 });
  let market: TunnelMarket;
  let untouched = "";
  let wire: Capture;
  /** the exits in the order of the hops, and the one that is neither */
  let [first, last, third]: (Exit | undefined)[] = [];
  const captures = new Map<Exit, Capture>();

  before(
    async () => {
      market = await openTunnelMarket({ exits: 3 });
      await Promise.all([0, 1, 2].map((index) => market.startExit(index)));
      const { host } = market.consumer;
      await until(() => host.run("ip -6 -o address show dev eth0 scope link -tentative") !== "");
      wire = startCapture(host);
      for (const exit of market.exits) {
        captures.set(exit, startCapture(exit.host));
        countCarried(exit);
      }
      untouched = hostLook(host as never);
      last = market.exits[1];
    },
    { timeoutMs: 90_000 },
  );
  after(async () => market[Symbol.asyncDispose]());

  const the = <T>(what: T | undefined): T => {
    assert.ok(what);
    return what;
  };
  const fetched = async () => (await market.user.ask({ do: "fetch", host: market.target.address })).text;
  /** What is begun while a tunnel goes may wait for ever. */
  const tried = () => Promise.race([fetched().catch(() => ""), wait(1_000, "")]);
  const connection = async () => the((await market.consumer.api.call("status")).connection);
  /** packets from a host, by whom they went to */
  const to = (from: Capture, address: string) =>
    from
      .seen()
      .filter(({ what }) => what.split(" ")[0] === address)
      .map(({ what }) => what.slice(address.length + 1));
  /** what the consumer's cable carries beside the first exit's tunnel and what its node may say to peers that are no last hop */
  const outside = () => {
    const allowed = market.allowed
      .filter(({ address, protocol }) => address !== the(last).host.address && (protocol === "tcp" || address === the(first).host.address))
      .map(({ address, protocol, port }) => `${address} ${protocol} ${port}`);
    return wire.seen().filter(({ what }) => !allowed.includes(what));
  };
  /** Counts where an exit leads what comes out of its tunnels. */
  const countCarried = ({ host }: Exit) =>
    host.run(
      "nft -f -",
      `table inet carried {
        set by { type ipv4_addr . inet_proto . inet_service; flags dynamic; size 1024; }
        chain forward { type filter hook forward priority 300; iifname "mystn*" meta l4proto { tcp, udp } update @by { ip daddr . meta l4proto . th dport }; }
      }\n`,
    );
  const carried = ({ host }: Exit) =>
    [...host.run("nft list set inet carried by").matchAll(/(\d[\d.]+) \. (tcp|udp) \. (\d+)/g)]
      .map(([, ...parts]) => parts.join(" "))
      .sort();
  /** By two hops; the tunnel is up a moment before the connection is. */
  const connect = async () => {
    await market.startConsumer(undefined, "up", [the(last).peer, "--hops", "2"]);
    await until(async () => (await market.consumer.api.call("status")).connection !== undefined);
  };
  const exitOf = (peer: string) => the(market.exits.find((one) => one.peer === peer));

  test("the captures would see a leak, and the second exit by its address", async () => {
    assert.equal(await fetched(), market.consumer.host.address);
    assert.deepEqual(to(wire, market.target.address), ["tcp 80"]);
    await market.startConsumer(undefined, "up", [the(last).peer]);
    wire.clear();
    for (const capture of captures.values()) capture.clear();
    assert.equal(await fetched(), the(last).host.address);
    assert.deepEqual(to(the(captures.get(the(last))), market.target.address), ["tcp 80"]);
    assert.deepEqual(carried(the(last)), [`${market.target.address} tcp 80`]);
    assert.ok(to(wire, the(last).host.address).includes(`udp ${tunnelPort}`));
    await market.consumer.stop();
    assert.equal(hostLook(market.consumer.host as never), untouched);
  });

  test("the target sees the last exit, which sees the first; the consumer's cable carries packets to the first alone", async () => {
    await connect();
    const now = await connection();
    first = exitOf(the(now.first).peer);
    third = market.exits.find((one) => one !== first && one !== last);
    assert.notEqual(first, last);
    for (const capture of [wire, ...captures.values()]) capture.clear();
    assert.equal(await fetched(), the(last).host.address);
    await market.user.ask({ do: "transfer", host: market.target.address, way: "down", bytes });
    await market.user.ask({ do: "transfer", host: market.target.address, way: "up", bytes });
    assert.deepEqual(outside(), []);
    assert.deepEqual(to(wire, the(last).host.address), []);
    // all that the first exit carries for its client
    const ways = [`${the(last).host.address} tcp ${peerPort}`, `${the(last).host.address} udp ${tunnelPort}`];
    assert.deepEqual(carried(first), ways);
    assert.deepEqual(to(the(captures.get(first)), market.target.address), []);
    // where the last one has its client, by both ways; a connection that was open before comes to an end without a word
    const { peer } = await market.consumer.api.call("status");
    const all = (await the(last).api.call("status")).peers.find((one) => one.peer === peer)?.addresses ?? [];
    const of = all.filter((one) => !one.startsWith(`/ip4/${market.consumer.host.address}/`));
    const endpoints = the(last).host.run("wg show all endpoints | cut -f3").trim().split("\n");
    const seen = [...of.map((one) => one.split("/")[2]), ...endpoints.map((one) => one.split(":")[0])];
    assert.ok(of.length > 0 && endpoints.length > 0);
    assert.deepEqual([...new Set(seen)], [the(first).host.address]);
  });

  test("both exits are paid, each by its own channel, for what each carries", async () => {
    const now = await connection();
    const outer = the(now.first);
    assert.notEqual(now.channel, outer.channel);
    for (const hop of [now, outer]) assert.ok(hop.promised > 0n && hop.usedBytes > 2n * BigInt(bytes) && hop.billedBytes >= hop.usedBytes);
    // the tunnel within is carried, with what is around it
    assert.ok(outer.usedBytes > now.usedBytes);
    for (const one of [the(first), the(last)]) {
      const [session] = (await one.api.call("sessions")).sessions;
      assert.ok(the(session).promised > 0n && the(session).endedMs === undefined);
    }
    assert.match(market.consumer.command(["status"]), new RegExp(`first exit ${the(first).peer}`));
    for (const line of market.consumer.command(["status"]).split("\n")) assert.ok(line.length <= 80, line);
  });

  test("when the first exit is killed another takes its place, and nothing leaves outside", async () => {
    const before = await connection();
    wire.clear();
    process.kill(the(first).pid(), "SIGKILL");
    await until(async () => {
      await tried();
      const now = await connection();
      return now.failover.state === "carrying" && now.first?.peer === the(third).peer;
    }, 30_000);
    const lost = the(first);
    first = the(third);
    assert.deepEqual(
      outside().filter(({ what }) => !what.startsWith(`${lost.host.address} `)),
      [],
    );
    assert.equal(await fetched(), the(last).host.address);
    assert.notEqual((await connection()).id, before.id);
    await lost.stop();
  });

  test("when the last exit is killed nothing goes out by the first one, nor outside", async () => {
    process.kill(the(last).pid(), "SIGKILL");
    for (const capture of [wire, ...captures.values()]) capture.clear();
    await until(async () => {
      await tried();
      return (await connection()).failover.state === "looking";
    }, 30_000);
    assert.equal(await tried(), "");
    assert.deepEqual(outside(), []);
    assert.deepEqual(to(the(captures.get(the(first))), market.target.address), []);
    await the(last).stop();
  });

  test("who disconnects finds the host as it was, to the letter", async () => {
    await market.consumer.stop();
    assert.equal(hostLook(market.consumer.host as never), untouched);
    assert.equal(await fetched(), market.consumer.host.address);
  });

  test("after a crash of all that runs on the host nothing leaves it, and 'cleanup' puts it back", async () => {
    await market.startExit(market.exits.indexOf(the(last)));
    await connect();
    const { host } = market.consumer;
    for (const { pid, command } of processesOn(host))
      if (/mystnode\.js|helper\/main|wireguard-go/.test(command)) process.kill(pid, "SIGKILL");
    await market.consumer.stop();
    // the system takes leave, for those who are dead, of peers and of the chain
    await until(() => openConnections(host) === 0, 10_000);
    wire.clear();
    assert.equal(await tried(), "");
    assert.deepEqual(wire.seen(), []);
    market.consumer.command(["cleanup"]);
    assert.equal(hostLook(host as never), untouched);
    assert.equal(await fetched(), host.address);
  });
});
