import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { judge, parsePolicy } from "../../../src/services/policy.ts";
import { insertAccepts, missingAccepts, removeAccepts } from "../../../src/services/wireguard/host/other-chains.ts";
import { tools } from "../../../src/services/wireguard/host/tools.ts";
import { type ExitFacts, exitPlan } from "../../../src/services/wireguard/plan/exit.ts";
import { poolOf } from "../../../src/services/wireguard/plan/pool.ts";
import { pool6Of } from "../../../src/services/wireguard/plan/pool6.ts";
import { specialRanges } from "../../../src/services/wireguard/plan/ranges.ts";
import { specialRanges6, toAddress6 } from "../../../src/services/wireguard/plan/ranges6.ts";
import { describe } from "../../support/harness.ts";
import { until } from "../../support/until.ts";
import { enterNamespaces } from "../backend/rig.ts";
import { otherFirewall } from "../host/host-rig.ts";
import type { Namespace } from "../support/namespaces.ts";
import { clients, type ExitRig, openExitRig, target } from "./exit-rig.ts";

const skip = enterNamespaces(fileURLToPath(import.meta.url));
const refused = /^(EHOSTUNREACH|ECONNREFUSED|EACCES|ENETUNREACH|EINVAL|EADDRNOTAVAIL)$/;
const prefix = "fd12:3456:789a:1::";
const { gateway, first, last } = pool6Of(prefix, poolOf("10.182.0.0/24"));
const [one, two] = [first, first.replace(/2$/, "3")];
const [exit6, near, far] = ["2a10:2::1", "2a10:2::2", "2a10:3::2"];

const udpPort = 600;

/** The same rig, with IPv6 in it; a bridge stands for the tunnel, so who has which address is told, not asked for. */
async function openRig6(): Promise<ExitRig> {
  const rig = await openExitRig();
  const mac = (host: Namespace, device: string) => /link\/ether (\S+)/.exec(host.run(`ip link show dev ${device}`))?.[1];
  for (const [host, address] of [
    [rig.one, one],
    [rig.two, two],
  ] as const) {
    host.run(`ip -6 addr flush dev tun; ip addr add ${address}/128 dev tun nodad; ip -6 route add ${gateway} dev tun
      ip -6 neigh replace ${gateway} lladdr ${mac(rig.exit, "mystnode0")} dev tun nud permanent; ip -6 route add default via ${gateway} dev tun`);
    rig.exit.run(`ip -6 neigh replace ${address} lladdr ${mac(host, "tun")} dev mystnode0 nud permanent`);
  }
  rig.exit.run(`ip -6 addr flush dev mystnode0 scope global; ip addr add ${exit6}/64 dev eth0 nodad; ip -6 route add default via ${near}`);
  rig.target.run(`ip addr add ${near}/64 dev eth0 nodad; ip addr add ${far}/128 dev lo nodad; ip -6 route add ${prefix}/64 via ${exit6}
    ip -6 rule add pref 10 to ${near} lookup local; ip -6 rule add pref 11 to fe80::/10 lookup local; ip -6 rule add pref 12 to ff00::/8 lookup local
    for to in 2a10:2::/64 ${prefix}/64; do ip -6 rule add pref 20 to $to lookup main; done
    ip -6 rule add pref 30 lookup local; ip -6 rule del pref 0; ip -6 route add local default dev lo table local`);
  rig.exit.run("sysctl -qw net.ipv6.icmp.ratelimit=0");
  // bound to its address, since the answer has to come from there
  await rig.target.ask({ do: "listen", tcp: [], udp: [udpPort], address: far });
  return rig;
}

describe("exit plan: IPv6 of clients", (register, { before, after }) => {
  const test = (name: string, work: () => Promise<void>) => register(name, work, { skip, timeoutMs: 60_000 });
  let rig: ExitRig;
  const ipv6 = { prefix, egressIf: "eth0", near: ["2a10:2::/64"], advertised: false };
  const facts = (policy = { allow: [] as string[], block: [] as string[] }): ExitFacts => {
    const four = rig.facts(policy);
    return { ...four, own: [...four.own, exit6], ipv6 };
  };
  before(async () => {
    rig = await openRig6();
    for (const { family, add } of exitPlan(facts()).steps) rig.exit.run(`ip -${family} ${add}`);
    rig.exit.run("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
  });
  after(() => rig?.end());
  const tcp = (host: string, port: number, from?: string) => rig.one.ask({ do: "tcp", host, port, ...(from && { from }) });
  const udp = (host: string, port: number, from?: string) => rig.one.ask({ do: "udp", host, port, ...(from && { from }) });

  test("without the table all of this would pass", async () => {
    // neighbours are looked for first
    for (const [host, port] of [
      [exit6, 22],
      [gateway, 22],
      [two, 80],
      [near, 80],
      [far, 25],
      ["2001:db8::1", 80],
      ["2002:a00:1::1", 80],
      ["64:ff9b::a00:1", 80],
      ["fd77::1", 80],
    ] as const)
      await until(async () => (await tcp(host, port)).startsWith("open"));
    assert.match(await rig.target.ask({ do: "tcp", host: one, port: 80 }), /^open/);
    assert.match(await rig.exit.ask({ do: "tcp", host: one, port: 80 }), /^open/);
  });

  test("nothing passes before credit is given; what is carried of both families is charged to the one credit", async () => {
    rig.exit.run("nft -f -", exitPlan(facts()).nft);
    assert.equal(await tcp(far, 80), "silence");
    rig.credit(clients[0], 20_000n);
    assert.equal(await tcp(far, 80), `open ${exit6} ${far}`);
    assert.match(await tcp(target, 80), /^open/);
    assert.equal(await rig.two.ask({ do: "tcp", host: far, port: 80 }), "silence");
    await rig.one.ask({ do: "udp", host: far, port: 501, bytes: 1_000, times: 30 });
    assert.equal(await tcp(far, 80), "silence");
    assert.equal(await tcp(target, 80), "silence");
  });

  test("the internet is reached from the exit's address; neither the exit, nor who is beside it, nor another client, nor mail", async () => {
    rig.load(facts());
    assert.equal(await tcp("2600::1", 443), `open ${exit6} 2600::1`);
    assert.equal(await udp(far, udpPort), `open ${exit6}`);
    for (const [host, port] of [
      [gateway, 22],
      [gateway, 53],
      [exit6, 22],
      [near, 80],
      [two, 80],
    ] as const) {
      // without a line between them the refusal comes while the socket is still locked, and TCP passes it over
      assert.doesNotMatch(await tcp(host, port), /^open/, `${host} ${port}`);
      assert.match(await udp(host, port), refused, `${host} ${port}`);
    }
    for (const port of [25, 465, 587]) assert.equal(await tcp(far, port), "ECONNREFUSED");
    assert.match(await udp(far, 25), refused);
  });

  test("nothing reaches a client unasked, and who sends from an address that is no client's is dropped", async () => {
    const tap = (host: Namespace, device: string) =>
      host.run(
        "nft -f -",
        `add table inet tap\ndelete table inet tap\ntable inet tap { chain in { type filter hook prerouting priority raw; iifname ${device} meta nfproto ipv6 meta l4proto { tcp, udp } counter\n }\n }\n`,
      );
    const packets = (host: Namespace) => Number(/packets (\d+)/.exec(host.run("nft list table inet tap"))?.[1]);
    tap(rig.one, "tun");
    assert.equal(await rig.exit.ask({ do: "tcp", host: one, port: 80 }), "silence");
    assert.equal(await rig.target.ask({ do: "udp", host: one, port: 500 }), "silence");
    assert.equal(packets(rig.one), 0);
    tap(rig.target, "eth0");
    for (const from of ["2a10:9::9", last.replace(/fe$/, "ff"), "fd99::1"]) {
      rig.one.run(`ip addr add ${from}/128 dev tun nodad`);
      assert.equal(await udp(far, udpPort, from), "silence", from);
      rig.one.run(`ip addr del ${from}/128 dev tun`);
    }
    assert.equal(packets(rig.target), 0);
    assert.match(await udp(far, udpPort), /^open/);
    assert.equal(packets(rig.target), 1);
    for (const host of [rig.one, rig.target]) host.run("nft delete table inet tap");
  });

  test("what a client opens by either family counts as one", async () => {
    rig.load({ ...facts(), flowLimit: 1 });
    // ten at once, and no more
    for (let i = 0; i < 5; i += 1) assert.match(await udp(far, udpPort), /^open/);
    const later = await Promise.all(Array.from({ length: 12 }, () => udp(target, 53)));
    const passed = later.filter((said) => said.startsWith("open")).length;
    assert.ok(passed >= 3 && passed <= 8, `${passed} after 5`);
    assert.match(await rig.two.ask({ do: "udp", host: far, port: udpPort }), /^open/);
  });

  test("firewalls that drop what is forwarded let it pass once told", async () => {
    const tool = tools(rig.exit.net.run);
    const { accepts } = exitPlan(facts());
    rig.load(facts());
    rig.exit.run("nft -f -", otherFirewall);
    assert.equal(await tcp(far, 80), "silence");
    await insertAccepts(tool, accepts);
    await insertAccepts(tool, accepts);
    assert.equal(await missingAccepts(tool, accepts), 0);
    assert.match(await tcp(far, 80), /^open/);
    await removeAccepts(tool);
    assert.ok((await missingAccepts(tool, accepts)) > 0);
    assert.equal(await tcp(far, 80), "silence");
    rig.exit.run("nft delete table ip filter; nft delete table ip6 filter; nft delete table inet own");
  });

  const lists = [
    { allow: [], block: [] },
    {
      allow: ["fd77::/16", "[2001:db8::1]:8080", "[2600::25]:25", "10.5.0.0/16"],
      block: ["2600:8::/32", "8.8.8.0/24", "[2600::9]:443"],
    },
  ];
  for (const list of lists)
    test(`the table and judge() agree on destinations: ${JSON.stringify(list)}`, async () => {
      rig.load(facts(list));
      const policy = parsePolicy(list);
      const all = (1n << 128n) - 1n;
      const edges = specialRanges6(specialRanges).flatMap(([from, to]) => [from - 1n, from, from + 1n, to - 1n, to, to + 1n]);
      const some = [
        ...["2600::1", "2600::9", "2600::25", "2600:8::1", "2600:7:ffff::1", "fd77::1", "fd78::1", "2001:db8::1", "2001:db8::2"],
        ...["64:ff9b::808:808", "64:ff9b::808:909", "64:ff9b::a05:1", "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:808:808::1", "2001:0:1::1"],
        ...["2600::5efe:808:808", "2600::200:5efe:a00:1", "2600::201:5efe:1:1", "fec0::1", "100::1", "fd12:3456:789a:2::1"],
      ];
      // the client's own kernel knows these as its own, as no address, as the link's, or as IPv4
      const usable = (address: string) => !/^(::|f[ef][89a-f0-9]|fd12:3456:789a:1:|2a10:2:)/.test(address);
      const within = edges.filter((edge) => edge >= 0n && edge <= all).map(toAddress6);
      const addresses = [...new Set([...within, ...some])].filter(usable);
      const wrong: string[] = [];
      for (const port of [25, 80, 443, 8080])
        for (let at = 0; at < addresses.length; at += 24)
          await Promise.all(
            addresses.slice(at, at + 24).map(async (address) => {
              const said = await tcp(address, port);
              const verdict = judge(policy, facts().own, address, port);
              if (said.startsWith("open") !== verdict.ok) wrong.push(`${address} ${port}: ${said} ${JSON.stringify(verdict)}`);
            }),
          );
      assert.deepEqual(wrong, []);
      assert.ok(addresses.length > 80);
    });
});
