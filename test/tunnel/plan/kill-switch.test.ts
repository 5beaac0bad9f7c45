import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { describe } from "../../support/harness.ts";
import { until } from "../../support/until.ts";
import { enterNamespaces } from "../backend/rig.ts";
import type { Namespace } from "../support/namespaces.ts";
import type { Probe } from "../support/probe.ts";
import * as rigs from "./kill-switch-rig.ts";
import {
  controlPeer,
  exitAddress,
  exitPort,
  internet,
  type KillSwitchRig,
  lan,
  markedPort,
  openKillSwitchRig,
  own,
  resolver,
  tunnel,
  tunnelDns,
} from "./kill-switch-rig.ts";

const skip = enterNamespaces(fileURLToPath(import.meta.url));
type Who = "consumer" | "node" | "container";

/** What must never leave by the cable, by whom it is sent. */
const leaks: Record<string, [Who, Probe]> = {
  "TCP to the internet": ["consumer", { do: "tcp", host: internet, port: 80 }],
  "UDP to the internet": ["consumer", { do: "udp", host: internet, port: 80 }],
  QUIC: ["consumer", { do: "udp", host: internet, port: 443 }],
  "DNS by UDP": ["consumer", { do: "udp", host: resolver, port: 53 }],
  "DNS by TCP": ["consumer", { do: "tcp", host: resolver, port: 53 }],
  "DNS to the network's own resolver": ["consumer", { do: "udp", host: lan, port: 53 }],
  "DNS over TLS": ["consumer", { do: "tcp", host: resolver, port: 853 }],
  "TCP to the local network": ["consumer", { do: "tcp", host: lan, port: 80 }],
  "UDP to the local network": ["consumer", { do: "udp", host: lan, port: 80 }],
  "UDP from the cable's address": ["consumer", { do: "udp", host: internet, port: 80, from: "11.0.0.1" }],
  "IPv6 to the internet": ["consumer", { do: "tcp", host: "2a00::1", port: 80 }],
  "IPv6 to the local network": ["consumer", { do: "udp", host: "fd00::2", port: 80 }],
  "IPv6 DNS": ["consumer", { do: "udp", host: "2a00::1", port: 53 }],
  "a container's TCP": ["container", { do: "tcp", host: internet, port: 80 }],
  "a container's DNS": ["container", { do: "udp", host: resolver, port: 53 }],
  "another user's connection to the control plane": ["consumer", { do: "tcp", host: controlPeer, port: 4001 }],
  "the node's user to another port": ["node", { do: "tcp", host: controlPeer, port: 4002 }],
  "the node's user to another address": ["node", { do: "tcp", host: internet, port: 4001 }],
  "the node's user by another protocol": ["node", { do: "udp", host: controlPeer, port: 4001 }],
  "unmarked UDP to the exit's port": ["consumer", { do: "udp", host: exitAddress, port: exitPort }],
};
/** Those are of a kind that the tap counts as allowed, but for who sent it. */
const disguised: Record<string, "control" | "wireguard"> = {
  "another user's connection to the control plane": "control",
  "unmarked UDP to the exit's port": "wireguard",
};

describe("kill switch", (test, { before, after }) => {
  let rig: KillSwitchRig;

  before(async () => {
    rig = await openKillSwitchRig();
  });
  after(() => rig?.end());

  const host = (who: Who): Namespace => rig[who];
  const leaked = (name: string): number => rig.seen()[disguised[name] ?? "other"];

  for (const [name, [who, probe]] of Object.entries(leaks))
    test(
      `without it the router sees: ${name}`,
      async () => {
        // what it takes to find a neighbour must not be what is counted
        await until(async () => {
          rig.seen();
          await host(who).ask(probe);
          return leaked(name) > 0;
        });
      },
      { skip },
    );

  const states: Record<string, () => void> = {
    "secured, no tunnel yet": () => rig.load(),
    "tunnel up": () => rig.load(tunnel),
    "tunnel up, its device lost": () => {
      rig.load(tunnel);
      rig.consumer.run("ip link set mystnode0 down");
    },
    "tunnel up, a route pushed for every destination": () => {
      rig.load(tunnel);
      rig.consumer.run(`for to in 0.0.0.0/1 128.0.0.0/1 ${internet}/32 ${tunnelDns}/32; do ip route replace $to via ${lan}; done`);
    },
    "tunnel up, its rules gone": () => {
      rig.load(tunnel);
      rig.consumer.run("ip rule del pref 18230; ip rule del pref 18210; ip -6 rule del pref 18230");
    },
    "blocked again": () => rig.load(),
  };
  for (const [state, enter] of Object.entries(states)) {
    test(
      `${state}: no packet of any kind leaves that must not`,
      async () => {
        rig.consumer.run(
          `for to in 0.0.0.0/1 128.0.0.0/1 ${internet}/32 ${tunnelDns}/32; do ip route del $to via ${lan} 2>/dev/null || true; done`,
        );
        enter();
        rig.seen();
        for (const [name, [who, probe]] of Object.entries(leaks)) {
          const result = await host(who).ask(probe);
          assert.deepEqual({ ...rig.seen(), ndp: 0 }, { wireguard: 0, control: 0, dhcp: 0, ndp: 0, other: 0 }, `${name}: ${result}`);
        }
      },
      { skip },
    );

    test(
      `${state}: the control plane passes, and loopback`,
      async () => {
        assert.match(await rig.node.ask({ do: "tcp", host: controlPeer, port: 4001 }), /^open 11\.0\.0\.1 /);
        assert.match(await rig.consumer.ask({ do: "tcp", host: "127.0.0.1", port: 80 }), /^open/);
        const { control, other } = rig.seen();
        assert.ok(control > 0 && other === 0);
      },
      { skip },
    );
  }

  test(
    "programs need not wait: what may not leave is refused at once",
    async () => {
      rig.load();
      for (const name of ["TCP to the internet", "UDP to the internet", "TCP to the local network", "DNS by UDP", "IPv6 to the internet"]) {
        const [, probe] = leaks[name] ?? [];
        assert.doesNotMatch(await rig.consumer.ask(probe as Probe), /open|silence/, name);
      }
    },
    { skip },
  );

  test(
    "with the tunnel up everything goes through it, DNS to its own resolver wherever it was asked",
    async () => {
      rig.load(tunnel);
      assert.equal(await rig.consumer.ask({ do: "tcp", host: internet, port: 80 }), `open ${own} ${internet}`);
      assert.equal(await rig.consumer.ask({ do: "udp", host: internet, port: 80 }), `open ${own}`);
      for (const to of [resolver, lan, "9.9.9.9", tunnelDns]) {
        assert.equal(await rig.consumer.ask({ do: "udp", host: to, port: 53 }), `open ${own}`, to);
        assert.equal(await rig.consumer.ask({ do: "tcp", host: to, port: 53 }), `open ${own} ${tunnelDns}`, to);
      }
      assert.equal(await rig.container.ask({ do: "tcp", host: internet, port: 80 }), `open ${own} ${internet}`);
      assert.equal(rig.seen().other, 0);
    },
    { skip },
  );

  test(
    "the tunnel's own packets pass and are answered, with strict reverse path filtering",
    async () => {
      const probe = (address: string, port: number) => rig.consumer.run(marked(address, port)).trim();
      rig.load(tunnel);
      assert.equal(probe(exitAddress, exitPort), "answered");
      assert.equal(probe(exitAddress, 443), "nothing");
      assert.equal(probe(rigs.otherExit, exitPort), "nothing");
      assert.equal(rig.seen().other, 0);
      rig.load({ ...tunnel, exit: { address: rigs.otherExit, port: 53 } });
      assert.equal(probe(rigs.otherExit, 53), "answered");
      rig.load();
      assert.equal(probe(exitAddress, exitPort), "nothing");
    },
    { skip },
  );

  test(
    "nothing comes in unasked, neither by the cable nor by the tunnel",
    async () => {
      rig.load(tunnel);
      for (const [from, to] of [
        [rig.outside, "11.0.0.1"],
        [rig.exit, own],
      ] as const)
        for (const probe of ["tcp", "udp"] as const)
          assert.equal(await from.ask({ do: probe, host: to, port: 80 }), "silence", `${probe} to ${to}`);
    },
    { skip },
  );

  test(
    "who is on the same network learns nothing of the tunnel's address (CVE-2019-14899)",
    async () => {
      rig.load(tunnel);
      rig.outside.run(`ip route replace ${own}/32 via 11.0.0.1`);
      rig.consumer.run(
        "nft add table inet tap; nft add chain inet tap in '{ type filter hook input priority -300; }'; nft add rule inet tap in iifname eth0 ip daddr 10.182.0.2 counter; sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0",
      );
      assert.equal(await rig.outside.ask({ do: "tcp", host: own, port: 80 }), "silence");
      assert.match(rig.consumer.run("nft list chain inet tap in"), /packets 0 /);
      rig.consumer.run("nft delete table inet mystnode_ks");
      assert.match(await rig.outside.ask({ do: "tcp", host: own, port: 80 }), /silence|open/);
      assert.doesNotMatch(rig.consumer.run("nft list chain inet tap in"), /packets 0 /);
      rig.consumer.run("nft delete table inet tap; sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.eth0.rp_filter=1");
    },
    { skip },
  );

  test(
    "DHCP keeps its lease",
    async () => {
      rig.load(tunnel);
      rig.seen();
      rig.consumer.run(
        `${process.execPath} -e 'const s=require("dgram").createSocket("udp4");s.bind(68,()=>s.send("x",67,"${lan}",()=>s.close()))'`,
      );
      assert.equal(rig.seen().dhcp, 1);
    },
    { skip },
  );

  test(
    "changing from one plan to the next lets nothing pass in between",
    async () => {
      rig.load();
      rig.seen();
      let on = true;
      const flood = (async () => {
        while (on) await Promise.all(Array.from({ length: 8 }, () => rig.consumer.ask({ do: "udp", host: internet, port: 80, times: 50 })));
      })();
      for (let round = 0; round < 15; round++) rig.load(round % 2 ? undefined : tunnel);
      on = false;
      await flood;
      assert.equal(rig.seen().other, 0);
      rig.unload();
      await rig.consumer.ask({ do: "udp", host: internet, port: 80 });
      assert.ok(rig.seen().other > 0);
    },
    { skip },
  );
});

/** A packet from the tunnel's own socket, and whether it is answered. */
const marked = (address: string, port: number): string =>
  `${process.execPath} -e 'const s=require("dgram").createSocket("udp4");const t=setTimeout(()=>{console.log("nothing");s.close()},300);s.on("message",()=>{clearTimeout(t);console.log("answered");s.close()});s.on("error",()=>{});s.bind(${markedPort},"11.0.0.1",()=>s.send("x",${port},"${address}",()=>{}))'`;
