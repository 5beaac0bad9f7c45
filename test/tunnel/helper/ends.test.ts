import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { describe } from "../../support/harness.ts";
import { until } from "../../support/until.ts";
import { enterNamespaces } from "../backend/rig.ts";
import type { Host } from "../support/internet.ts";
import { childOf, exitConfig, helperOf, type Market, openMarket, processes, settled, startNodeSide } from "./market.ts";

const skip = enterNamespaces(fileURLToPath(import.meta.url));
const MiB = 1024 * 1024;
/** with all that an exit can set up */
const limited = { ...exitConfig, speed: { perClient: 1e9, whole: 2e9 }, flowLimit: 1000 };

/** all that a helper may change on a host; without link-local addresses, which come a moment after their interface */
const look = (host: Host): string =>
  host
    .run(
      "nft -s list ruleset; ip rule; ip -6 rule; ip route show table all; ip -6 route show table all; ip -o link | cut -d: -f2; cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/all/src_valid_mark /proc/sys/net/ipv4/tcp_mtu_probing /proc/sys/net/ipv4/tcp_base_mss",
    )
    .replaceAll(/^.*(fe80:|multicast).*\n/gm, "");

describe("helper: what ends, and what remains", (test, { before, after }) => {
  let market: Market;
  const looks = new Map<string, string>();
  const targetAddress = () => market.host("target").address;
  const fetched = () => market.client("one").user.ask({ do: "fetch", host: targetAddress() });
  const carried = async () => {
    const { rx, tx } = await market.counters("one");
    return rx + tx;
  };

  before(async () => {
    market = await openMarket(["one"], { onHost: (host) => looks.set(host.name, look(host)), config: limited });
    await market.credit("one", 50 * MiB);
  });
  after(() => market?.end());

  test(
    "a tunnel process that is killed on the exit is started again; counters go on",
    async () => {
      await fetched();
      const before = await settled(carried, 400);
      assert.ok(before > 0);
      const helper = helperOf(market.exit);
      const tunnel = childOf(helper, /^wireguard-go /);
      assert.ok(helper && tunnel);
      // Ctrl-C and a service manager reach it as well as the node, whose decision it awaits
      for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.kill(helper, name);
      process.kill(tunnel, "SIGKILL");
      await until(() => ![0, tunnel].includes(childOf(helper, /^wireguard-go /)));
      const began = performance.now();
      assert.equal((await fetched()).text, market.host("exit").address);
      console.log(`carries again after ${Math.round(performance.now() - began)} ms`);
      assert.ok((await settled(carried, 400)) > before);
    },
    { skip },
  );

  test(
    "a tunnel process that is killed on the client: nothing passes outside, and it is up again",
    async () => {
      const { side } = market.client("one");
      const helper = helperOf(side);
      process.kill(childOf(helper, /^wireguard-go /), "SIGKILL");
      await until(async () => (await side.ask({ do: "state" })).fact !== "up");
      await until(async () => (await side.ask({ do: "state" })).fact === "up");
      assert.equal((await fetched()).text, market.host("exit").address);
    },
    { skip },
  );

  test(
    "a table that somebody else has flushed stands again",
    async () => {
      market.host("one").run("nft flush ruleset");
      await until(() => market.host("one").run("nft list tables").includes("mystnode_ks"));
      market.host("exit").run("nft flush ruleset");
      await until(() => market.host("exit").run("nft list tables").includes("mystnode"));
      assert.equal((await fetched()).text, market.host("exit").address);
    },
    { skip },
  );

  test(
    "with the client's node killed the kill switch stays, and nothing else; clean-up takes it away",
    async () => {
      const { side } = market.client("one");
      const helper = helperOf(side);
      side.signal("SIGKILL");
      await until(() => !processes(/./).some(({ pid }) => pid === helper));
      assert.equal(processes(/^wireguard-go .*mystc/).length, 0);
      const host = market.host("one");
      assert.match(host.run("nft list tables"), /mystnode_ks/);
      assert.throws(() => host.run(`timeout 3 '${process.execPath}' -e 'fetch("http://${targetAddress()}").catch(()=>process.exit(1))'`));
      const next = await startNodeSide(host);
      assert.equal((await next.ask({ do: "probe" })).blocked, true);
      const { removed, failed } = await next.ask({ do: "cleanup" });
      assert.ok(removed.length > 0);
      assert.deepEqual(failed, []);
      assert.equal(look(host), looks.get("one"));
      await next.ask({ do: "stop" });
      next.signal("SIGKILL");
    },
    { skip },
  );

  test(
    "with the exit's helper killed, its processes go, and the next one puts things in order",
    async () => {
      const helper = helperOf(market.exit);
      const [tunnel, nft] = [childOf(helper, /^wireguard-go /), childOf(helper, /^nft /)];
      assert.ok(tunnel && nft);
      process.kill(helper, "SIGKILL");
      const gone = await market.exit.ask({ do: "ended" });
      assert.match(gone, /SIGKILL/);
      await until(() => !processes(/./).some(({ pid }) => pid === tunnel || pid === nft));
      await assert.rejects(market.exit.ask({ do: "openExit", config: limited }), { code: "TUNNEL_FAILED" });
      await market.exit.ask({ do: "start" });
      await market.openExit();
      await market.exit.ask({ do: "closeExit" });
      assert.equal(look(market.host("exit")), looks.get("exit"));
    },
    { skip },
  );

  test(
    "with the exit's node killed, all goes at once where nobody has credit",
    async () => {
      await market.openExit();
      const helper = helperOf(market.exit);
      assert.notEqual(look(market.host("exit")), looks.get("exit"));
      market.exit.signal("SIGKILL");
      await until(() => !processes(/./).some(({ pid }) => pid === helper));
      assert.equal(look(market.host("exit")), looks.get("exit"));
      assert.equal(processes(/^wireguard-go |^nft /).length, 0);
    },
    { skip },
  );

  test(
    "with the exit's node killed, what was paid for is carried until its time is over, or the next one takes over",
    async () => {
      market.exit = await startNodeSide(market.host("exit"));
      await market.openExit();
      const key = market.client("one").key;
      await market.exit.ask({ do: "admit", key });
      await market.credit("one", MiB, 1500);
      const helper = helperOf(market.exit);
      await settled(() => 0, 300);
      market.exit.signal("SIGKILL");
      await settled(() => 0, 300);
      assert.notEqual(look(market.host("exit")), looks.get("exit"));
      await until(() => !processes(/./).some(({ pid }) => pid === helper));
      assert.equal(look(market.host("exit")), looks.get("exit"));

      market.exit = await startNodeSide(market.host("exit"));
      await market.openExit();
      await market.exit.ask({ do: "admit", key });
      await market.credit("one", MiB, 60_000);
      await settled(() => 0, 300);
      market.exit.signal("SIGKILL");
      market.exit = await startNodeSide(market.host("exit"));
      await market.openExit();
      const other = await startNodeSide(market.host("exit"));
      await assert.rejects(other.ask({ do: "openExit", config: { ...exitConfig, listenPort: 0 } }), { code: "TUNNEL_FAILED" });
      other.signal("SIGKILL");
      await market.exit.ask({ do: "stop" });
      assert.equal(look(market.host("exit")), looks.get("exit"));
    },
    { skip, timeoutMs: 60_000 },
  );
});
