import assert from "node:assert/strict";
import { parseTraffic, placeLines, resolvConf, routerLines, routerRules, topologyOf } from "../../../../src/devnet/netns/topology.ts";
import { exitPlans } from "../../../../src/devnet/plan.ts";
import { judge, parsePolicy } from "../../../../src/services/policy.ts";
import { describe } from "../../../support/harness.ts";

const topology = topologyOf(exitPlans);
const pids = new Map(topology.places.map(({ name }, index) => [name, 100 + index]));

describe("devnet/netns/topology: places around a router", (test) => {
  test("every address is one that the shipped exit policy takes for public", () => {
    const policy = parsePolicy({ allow: [], block: [] });
    for (const { address, address6 } of topology.places)
      for (const one of [address, address6]) assert.deepEqual(judge(policy, [], one, 80), { ok: true, address: one });
  });

  test("no two places share a link, and each reaches its router on it", () => {
    const networks = topology.places.map(({ address }) => address.split(".").slice(0, 3).join("."));
    assert.equal(new Set(networks).size, topology.places.length);
    assert.equal(new Set(topology.places.map(({ gateway6 }) => gateway6)).size, topology.places.length);
    for (const [index, { gateway }] of topology.places.entries()) assert.equal(gateway, `${networks[index]}.1`);
  });

  test("names fit an interface", () => {
    for (const { name } of topology.places) assert.match(name, /^[a-z-]{1,15}$/);
  });

  test("the router has a link to each; each has its end, its address and a default route", () => {
    const lines = routerLines(topology, pids);
    assert.equal(lines.filter((line) => line.startsWith("link add")).length, topology.places.length);
    assert.ok(lines.includes("link add consumer type veth peer name eth0 netns 104"));
    assert.ok(lines.includes("address add 81.2.69.1/24 dev consumer"));
    assert.deepEqual(placeLines(topology.consumer), [
      "link set lo up",
      "address add 81.2.69.2/24 dev eth0",
      "address add 2600:1f18:4000:5::2/64 dev eth0 nodad",
      "link set eth0 up",
      "route add default via 81.2.69.1",
      "route add default via 2600:1f18:4000:5::1",
    ]);
    assert.equal(resolvConf(topology), "nameserver 151.101.65.2\n");
  });

  test("the router counts tunnel and what goes outside, and drops nothing", () => {
    const rules = routerRules(topology);
    assert.ok(!/\b(drop|reject)\b/.test(rules));
    assert.ok(
      rules.includes("ip saddr 81.2.69.2 ip daddr { 23.20.16.2, 5.9.48.2, 133.242.0.2 } meta l4proto udp counter name tunnel accept"),
    );
    assert.equal(rules.match(/iifname "consumer" counter name outside/g)?.length, 2);
  });

  test("reads the counters: payload without headers of IPv4 and UDP", () => {
    const counter = (name: string, packets: number, bytes: number) => ({
      counter: { family: "inet", name, table: "devnet", handle: 1, packets, bytes },
    });
    const text = JSON.stringify({ nftables: [{ metainfo: {} }, counter("tunnel", 10, 1280), counter("outside", 3, 200)] });
    assert.deepEqual(parseTraffic(text), { tunnelBytes: 1000n, outsidePackets: 3 });
    assert.deepEqual(parseTraffic(JSON.stringify({ nftables: [] })), { tunnelBytes: 0n, outsidePackets: 0 });
  });
});
