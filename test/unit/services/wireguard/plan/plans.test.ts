import assert from "node:assert/strict";
import fc from "fast-check";
import { judge, parsePolicy } from "../../../../../src/services/policy.ts";
import { type KillSwitchFacts, killSwitchPlan } from "../../../../../src/services/wireguard/plan/client.ts";
import { quotaName, smallPackets } from "../../../../../src/services/wireguard/plan/credit.ts";
import { type ExitFacts, exitPlan } from "../../../../../src/services/wireguard/plan/exit.ts";
import { choosePool, poolAddresses, poolOf } from "../../../../../src/services/wireguard/plan/pool.ts";
import { mergeRanges, type Range, rangeOf, specialRanges, toAddress, toNumber } from "../../../../../src/services/wireguard/plan/ranges.ts";
import type { Standing } from "../../../../../src/services/wireguard/plan/standing.ts";
import { describe } from "../../../../support/harness.ts";

const exit: ExitFacts = {
  ifname: "mystnode0",
  pool: "10.182.0.0/28",
  mtu: 1280,
  egressIf: "eth0",
  dnsPort: 5353,
  pathPort: 5381,
  allow: [],
  block: [],
  own: ["11.0.0.1", "fe80::1"],
};
const client: KillSwitchFacts = {
  ifname: "mystnode0",
  uid: 1000,
  control: [{ address: "11.0.0.7", port: 4001, protocol: "tcp" }],
  ipv6: true,
};
const tunnel = { exit: { address: "11.0.0.8", port: 51_820 }, address: "10.182.0.2", dns: "10.182.0.1", mtu: 1420, pathMtu: 1280 };
const refused = { code: "BAD_VALUE" };
const blocked = { state: "blocked" } as const;
const up = (change: object = {}): Standing => ({ state: "up", tunnel: { ...tunnel, ...change } });

describe("plans", (test) => {
  const odd = ["", "a b", 'a"', "a\nb", "a;b", "a}", "{", "a/b", "..", "-a", "abcdefghijklmnop", "$x", "é"];
  test("a name that is no interface's makes no plan", () => {
    assert.throws(() => exitPlan({ ...exit, egressIf: exit.ifname }), refused);
    for (const name of odd) {
      assert.throws(() => exitPlan({ ...exit, ifname: name }), refused, name);
      assert.throws(() => exitPlan({ ...exit, egressIf: name }), refused, name);
      assert.throws(() => killSwitchPlan({ ...client, ifname: name }, blocked), refused, name);
    }
  });

  test("an address that is none makes no plan", () => {
    for (const address of ["", "1.2.3", "1.2.3.4 accept", "1.2.3.4\nflush ruleset", "1.2.3.4/8", "host", "0x1.2.3.4", "::1; drop"]) {
      assert.throws(() => exitPlan({ ...exit, egressAddress: address }), refused, address);
      assert.throws(() => exitPlan({ ...exit, pool: address }), refused, address);
      for (const part of ["address", "dns"]) assert.throws(() => killSwitchPlan(client, up({ [part]: address })), refused);
      assert.throws(() => killSwitchPlan(client, up({ exit: { address, port: 1 } })), refused, address);
      assert.throws(() => killSwitchPlan(client, up({ also: [{ address, port: 1 }] })), refused, address);
      if (!address.includes(":"))
        assert.throws(() => killSwitchPlan({ ...client, control: [{ address, port: 1, protocol: "tcp" }] }, blocked), refused, address);
    }
    assert.throws(() => exitPlan({ ...exit, own: ["1.2.3.4, 0.0.0.0/0"] }), refused);
  });

  test("a number that is none, or out of its range, makes no plan", () => {
    for (const bad of [0, -1, 65_536, 1.5, Number.NaN, "80" as unknown as number, "1; drop" as unknown as number]) {
      assert.throws(() => exitPlan({ ...exit, dnsPort: bad }), refused);
      assert.throws(() => exitPlan({ ...exit, mtu: bad }), refused);
      assert.throws(() => killSwitchPlan(client, up({ exit: { address: "1.2.3.4", port: bad } })), refused);
      assert.throws(() => killSwitchPlan(client, up({ mtu: bad })), refused);
      assert.throws(() => killSwitchPlan(client, up({ also: [{ address: "1.2.3.4", port: bad }] })), refused);
      assert.throws(() => killSwitchPlan(client, { state: "handshaking", tunnel: { ...tunnel, punching: bad } }), refused);
      assert.throws(() => killSwitchPlan({ ...client, control: [{ address: "1.2.3.4", port: bad, protocol: "tcp" }] }, blocked), refused);
    }
    for (const uid of [-1, 2 ** 32 - 1, 0.5, "0-1" as unknown as number])
      assert.throws(() => killSwitchPlan({ ...client, uid }, blocked), refused);
    const protocol = "tcp accept" as unknown as "tcp";
    assert.throws(() => killSwitchPlan({ ...client, control: [{ address: "1.2.3.4", port: 1, protocol }] }, blocked), refused);
  });

  test("a speed limit makes a queue for each client, and one for what comes from them; none makes nothing", () => {
    assert.equal(exitPlan(exit).shaping, undefined);
    assert.equal(exitPlan({ ...exit, speed: {} }).shaping, undefined);
    const { steps, shaping } = exitPlan({ ...exit, speed: { perClient: 20e6, whole: 100e6 } });
    assert.deepEqual(shaping?.devices, ["mystnode0", "mystnode0u"]);
    const made: string[] = shaping?.lines ?? [];
    for (const device of shaping?.devices ?? []) {
      const { size } = poolOf(exit.pool);
      const classes = made.filter((line) => line.startsWith(`class add dev ${device} parent 1:1 `));
      assert.equal(classes.length, size);
      // what they have for sure is within what all have
      const sure = classes.map((line) => Number(/ rate (\d+)bit ceil 20000000bit /.exec(line)?.[1]));
      assert.ok(sure.reduce((sum, rate) => sum + rate) <= 100e6);
    }
    assert.ok(steps.some(({ del }) => del === "link del dev mystnode0u"));
    for (const bad of [0, -1, 63_999, 1.5, 1e12, Number.NaN, "1mbit; reboot" as unknown as number]) {
      assert.throws(() => exitPlan({ ...exit, speed: { perClient: bad } }), refused);
      assert.throws(() => exitPlan({ ...exit, speed: { whole: bad } }), refused);
    }
  });

  test("each replaces its table in one transaction", () => {
    for (const { nft, table } of [exitPlan(exit), killSwitchPlan(client, blocked), killSwitchPlan(client, up())]) {
      assert.ok(nft.startsWith(`add table inet ${table}\ndelete table inet ${table}\ntable inet ${table} {\n`));
      assert.equal(nft.split("{").length, nft.split("}").length);
    }
  });

  test("each step has its reverse, and IPv6 is left out where the kernel has none", () => {
    const { steps } = killSwitchPlan(client, up());
    for (const { add, del } of steps.filter(({ add }) => !add.startsWith("link")))
      assert.equal(add.replace(/ (add|replace) /, " del ").replace(/ mtu \d+$/, ""), del);
    assert.ok(steps.some(({ family }) => family === 6));
    assert.ok(killSwitchPlan({ ...client, ipv6: false }, up()).steps.every(({ family }) => family === 4));
  });

  test("control endpoints of IPv6 are passed over, and each counts once", () => {
    const [one] = client.control;
    const control = one ? [one, one, { address: "2001:db8::1", port: 1, protocol: "udp" as const }] : [];
    assert.deepEqual(killSwitchPlan({ ...client, control }, blocked), killSwitchPlan(client, blocked));
  });

  test("every client of the pool begins with a quota of nothing", () => {
    const pool = poolOf(exit.pool);
    assert.deepEqual([pool.gateway, pool.first, pool.last, pool.size], ["10.182.0.1", "10.182.0.2", "10.182.0.14", 13]);
    const { nft } = exitPlan(exit);
    assert.deepEqual(
      [...nft.matchAll(/quota (q_\w+) \{ over 0 bytes; \}/g)].map(([, name]) => name),
      poolAddresses(pool).map(quotaName),
    );
    assert.equal(poolOf("10.182.0.0/24").size, 253);
  });

  test("pools that are no private network of a fitting size are refused", () => {
    for (const cidr of ["8.8.8.0/24", "10.0.0.0/8", "10.0.0.0/30", "10.0.0.1/24", "10.0.0.0", "10.0.0.0/24/24", "10.0.0.0/ 24"])
      assert.throws(() => poolOf(cidr), refused, cidr);
    assert.equal(choosePool(["10.182.0.0/16", "10.183.0.7/32", "0.0.0.0/0"].slice(0, 2)), "10.184.0.0/24");
    assert.throws(() => choosePool(["10.0.0.0/8"]), refused);
  });

  test("no size of packet is carried for less than 1 / 1.11 of what WireGuard makes of it", () => {
    for (let bytes = 20; bytes <= 1500; bytes++) {
      const passes = 1 + smallPackets.filter((most) => bytes <= most).length;
      const carried = 16 * Math.ceil(bytes / 16) + 32;
      assert.ok(carried / (passes * bytes) <= 1.11, `${bytes}: ${carried / (passes * bytes)}`);
    }
  });

  test("ranges are what judge() calls not public, at every edge and at random", () => {
    const policy = parsePolicy({ allow: [], block: [] });
    const merged = mergeRanges(specialRanges);
    const same = (value: number) =>
      assert.equal(
        merged.some(([first, last]) => value >= first && value <= last),
        !judge(policy, [], toAddress(value), 443).ok,
        toAddress(value),
      );
    for (const [first, last] of specialRanges)
      for (const value of [first - 1, first, last, last + 1]) if (value >= 0 && value < 2 ** 32) same(value);
    fc.assert(fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), same), { numRuns: 2000 });
  });

  test("merged ranges hold the same addresses, in order and apart", () => {
    const range = fc
      .tuple(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 8 }))
      .map(([first, more]): Range => [first, first + more]);
    fc.assert(
      fc.property(fc.array(range), (ranges) => {
        const merged = mergeRanges(ranges);
        for (let at = 0; at < 80; at++) {
          const within = (list: Range[]) => list.some(([first, last]) => at >= first && at <= last);
          assert.equal(within(merged), within(ranges));
        }
        for (const [at, [first]] of merged.entries()) assert.ok(at === 0 || first > (merged[at - 1]?.[1] ?? 0) + 1);
      }),
    );
    assert.deepEqual(rangeOf("10.1.2.3", 8).map(toAddress), ["10.0.0.0", "10.255.255.255"]);
    assert.equal(toAddress(toNumber("255.255.255.255")), "255.255.255.255");
  });
});
