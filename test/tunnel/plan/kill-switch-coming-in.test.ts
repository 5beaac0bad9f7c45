import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { shield, shieldStates, verdict } from "../../../src/services/wireguard/plan/shield.ts";
import type { Standing } from "../../../src/services/wireguard/plan/standing.ts";
import { describe } from "../../support/harness.ts";
import { enterNamespaces } from "../backend/rig.ts";
import { exitAddress, exitPort, type KillSwitchRig, lan, marked, openKillSwitchRig, own, tunnel } from "./kill-switch-rig.ts";

const skip = enterNamespaces(fileURLToPath(import.meta.url));
const lease = `${process.execPath} -e 'const s=require("dgram").createSocket("udp4");s.bind(68,()=>s.send("x",67,"${lan}",()=>s.close()))'`;
/** counts what has come in by the cable, past all that could have kept it out */
const arrivals = `table inet arrivals {
  counter arrived { }
  chain input { type filter hook input priority 400; iifname "eth0" meta l4proto { tcp, udp } th dport 80 counter name arrived; }
}
`;
const reversePaths = (how: 0 | 1) => `sysctl -qw net.ipv4.conf.all.rp_filter=${how} net.ipv4.conf.eth0.rp_filter=${how}`;

describe("kill switch: what passes in each state, and what comes in", (test, { before, after }) => {
  let rig: KillSwitchRig;

  before(async () => {
    rig = await openKillSwitchRig();
  });
  after(() => rig?.end());

  const up: Standing = { state: "up", tunnel };
  const arrived = (): number =>
    Number(/packets (\d+)/.exec(rig.consumer.run("nft reset counter inet arrivals arrived"))?.[1] ?? Number.NaN);

  test(
    "without it somebody on the same network reaches the host, the tunnel's address too",
    async () => {
      await rig.load(up);
      await rig.unload({ routes: false });
      rig.outside.run(`ip route replace ${own}/32 via 11.0.0.1`);
      rig.consumer.run(`nft -f -; ${reversePaths(0)}`, arrivals);
      for (const address of ["11.0.0.1", own]) {
        arrived();
        await rig.outside.ask({ do: "tcp", host: address, port: 80 });
        assert.ok(arrived() > 0, address);
      }
    },
    { skip },
  );
  for (const state of shieldStates) {
    test(
      `${state}: what is there has been entered once more`,
      () => rig.load(state === "up" || state === "handshaking" ? { state, tunnel } : { state }),
      { skip },
    );
    test(
      `${state}: ${shield.exit.packet}: ${verdict("exit", state)}`,
      async () => {
        rig.seen();
        const result = rig.consumer.run(marked(exitAddress, exitPort)).trim();
        const { wireguard, other } = rig.seen();
        assert.equal(other, 0);
        assert.equal(wireguard > 0, verdict("exit", state) === "passes", result);
      },
      { skip },
    );
    test(
      `${state}: ${shield.basics.packet}: ${verdict("basics", state)}`,
      async () => {
        rig.seen();
        rig.consumer.run(lease);
        assert.equal(rig.seen().dhcp, 1);
      },
      { skip },
    );
    for (const row of ["unasked", "spoofed"] as const)
      test(
        `${state}: ${shield[row].packet}: ${verdict(row, state)}`,
        async () => {
          const host = row === "unasked" ? "11.0.0.1" : own;
          arrived();
          const probes = (["tcp", "udp"] as const).map((by) => rig.outside.ask({ do: by, host, port: 80 }));
          assert.deepEqual(await Promise.all(probes), ["silence", "silence"]);
          assert.equal(arrived(), 0);
        },
        { skip },
      );
  }

  test("and reverse paths are looked at again", () => void rig.consumer.run(`nft delete table inet arrivals; ${reversePaths(1)}`), {
    skip,
  });

  test(
    "nothing comes in unasked, neither by the cable nor by the tunnel",
    async () => {
      await rig.load(up);
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
      await rig.load(up);
      rig.outside.run(`ip route replace ${own}/32 via 11.0.0.1`);
      rig.consumer.run(
        "nft add table inet tap; nft add chain inet tap in '{ type filter hook input priority -300; }'; nft add rule inet tap in iifname eth0 ip daddr 10.182.0.2 counter; sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0",
      );
      assert.equal(await rig.outside.ask({ do: "tcp", host: own, port: 80 }), "silence");
      assert.match(rig.consumer.run("nft list chain inet tap in"), /packets 0 /);
      await rig.unload({ routes: false });
      assert.match(await rig.outside.ask({ do: "tcp", host: own, port: 80 }), /silence|open/);
      assert.doesNotMatch(rig.consumer.run("nft list chain inet tap in"), /packets 0 /);
      rig.consumer.run("nft delete table inet tap; sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.eth0.rp_filter=1");
    },
    { skip },
  );

  test(
    "DHCP keeps its lease",
    async () => {
      await rig.load(up);
      rig.seen();
      rig.consumer.run(lease);
      assert.equal(rig.seen().dhcp, 1);
    },
    { skip },
  );
});
