import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { shield, shieldStates, verdict } from "../../../src/services/wireguard/plan/shield.ts";
import type { Standing } from "../../../src/services/wireguard/plan/standing.ts";
import { describe } from "../../support/harness.ts";
import { until } from "../../support/until.ts";
import { enterNamespaces } from "../backend/rig.ts";
import type { Probe } from "../support/probe.ts";
import { type KillSwitchRig, openKillSwitchRig, tunnel } from "./kill-switch-rig.ts";

const skip = enterNamespaces(fileURLToPath(import.meta.url));
const own6 = "fd12:3456:789a:1::ab6:2";
const internet6 = "2a00::1";
const probes: Record<string, Probe> = {
  TCP: { do: "tcp", host: internet6, port: 80 },
  UDP: { do: "udp", host: internet6, port: 80 },
  "from the cable's address": { do: "tcp", host: internet6, port: 80, from: "fd00::1" },
  DNS: { do: "udp", host: internet6, port: 53 },
  "DNS by TCP": { do: "tcp", host: internet6, port: 53 },
  "the local network": { do: "tcp", host: "fd00::2", port: 80 },
};
const kept = ["DNS", "DNS by TCP", "the local network"];

describe("kill switch: IPv6 by an address that the exit gives", (register, { before, after }) => {
  const test = (name: string, work: () => Promise<void>) => register(name, work, { skip });
  let rig: KillSwitchRig;
  const asked = async () => {
    rig.seen();
    const entries = await Promise.all(Object.entries(probes).map(async ([name, probe]) => [name, await rig.consumer.ask(probe)] as const));
    assert.deepEqual({ ...rig.seen(), ndp: 0 }, { wireguard: 0, control: 0, dhcp: 0, ndp: 0, other: 0 }, JSON.stringify(entries));
    return Object.fromEntries(entries);
  };
  const given: Standing = { state: "up", tunnel: { ...tunnel, address6: own6 } };

  before(async () => {
    rig = await openKillSwitchRig();
    const mac = (host: KillSwitchRig["exit"], device: string) => /link\/ether (\S+)/.exec(host.run(`ip link show dev ${device}`))?.[1];
    // a cable stands for the tunnel: who has which address is told, since it is not asked for through the switch
    rig.consumer.run(`ip -6 neigh replace ${internet6} lladdr ${mac(rig.exit, "tun")} dev mystnode0 nud permanent`);
    rig.exit.run(`ip addr add ${internet6}/128 dev lo nodad; ip -6 route add ${own6}/128 dev tun
      ip -6 neigh replace ${own6} lladdr ${mac(rig.consumer, "mystnode0")} dev tun nud permanent`);
    await rig.exit.ask({ do: "listen", tcp: [], udp: [80], address: internet6 });
  });
  after(() => rig?.end());

  for (const [name, probe] of Object.entries(probes))
    test(`without it the router sees: ${name}`, async () => {
      await until(async () => {
        rig.seen();
        await rig.consumer.ask(probe);
        return rig.seen().other > 0;
      });
    });

  test(`up: ${shield.ipv6Given.packet}: ${verdict("ipv6Given", "up")}`, async () => {
    await rig.load(given);
    const { TCP, UDP, "from the cable's address": bound } = await asked();
    assert.deepEqual([TCP, UDP, bound], [`open ${own6} ${internet6}`, `open ${own6}`, `open ${own6} ${internet6}`]);
  });

  test("up: its DNS and the local network are refused at once, and do not go into the tunnel either", async () => {
    rig.exit.run(
      "nft 'add table inet tap; add chain inet tap in { type filter hook prerouting priority -400; }; add rule inet tap in meta nfproto ipv6 th dport 53 counter'",
    );
    const said = await asked();
    for (const name of kept) assert.doesNotMatch(said[name] ?? "", /open|silence/, name);
    assert.match(rig.exit.run("nft list table inet tap"), /packets 0 /);
  });

  test("up: nothing comes in unasked, by the tunnel or to that address by the cable", async () => {
    assert.equal(await rig.exit.ask({ do: "tcp", host: own6, port: 80 }), "silence");
    rig.outside.run(`ip -6 route replace ${own6}/128 via fd00::1`);
    assert.equal(await rig.outside.ask({ do: "tcp", host: own6, port: 80 }), "silence");
  });

  const without: Record<string, Standing> = {
    "a way that takes no 1,280 bytes": { state: "up", tunnel: { ...tunnel, address6: own6, pathMtu: 1279 } },
    "an exit that gives none": { state: "up", tunnel },
    ...Object.fromEntries(
      shieldStates.flatMap((state): [string, Standing][] => (state === "up" || state === "handshaking" ? [] : [[state, { state }]])),
    ),
  };
  for (const [name, standing] of Object.entries(without))
    test(`${name}: all of it is refused, not one packet by the cable`, async () => {
      await rig.load(given);
      await rig.load(standing);
      for (const said of Object.values(await asked())) assert.doesNotMatch(said, /^open|bytes from/);
    });
});
