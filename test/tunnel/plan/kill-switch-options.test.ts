import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { shield, shieldStates } from "../../../src/services/wireguard/plan/shield.ts";
import type { Standing } from "../../../src/services/wireguard/plan/standing.ts";
import { describe } from "../../support/harness.ts";
import { until } from "../../support/until.ts";
import { enterNamespaces } from "../backend/rig.ts";
import type { Namespace } from "../support/namespaces.ts";
import type { Probe } from "../support/probe.ts";
import {
  controlPeer,
  home,
  internet,
  type KillSwitchRig,
  lan,
  neighbour,
  openKillSwitchRig,
  otherExit,
  own,
  resolver,
  tunnel,
  tunnelDns,
} from "./kill-switch-rig.ts";

const skip = enterNamespaces(fileURLToPath(import.meta.url));
const local: Record<string, Probe> = {
  TCP: { do: "tcp", host: neighbour, port: 80 },
  UDP: { do: "udp", host: neighbour, port: 80 },
  ICMP: { do: "icmp", host: neighbour },
  IPv6: { do: "tcp", host: "fd00::2", port: 80 },
};
const beside: Record<string, Probe> = {
  TCP: { do: "tcp", host: otherExit, port: 80 },
  UDP: { do: "udp", host: otherExit, port: 443 },
  ICMP: { do: "icmp", host: otherExit },
};
/** What neither option opens. */
const never: Record<string, Probe> = {
  "DNS to the local network": { do: "udp", host: neighbour, port: 53 },
  "DNS over TLS to the local network": { do: "tcp", host: neighbour, port: 853 },
  "DNS to a network beside the tunnel": { do: "tcp", host: otherExit, port: 53 },
  "public addresses that a network calls its own": { do: "tcp", host: lan, port: 80 },
  "the internet": { do: "tcp", host: internet, port: 80 },
  "the internet by IPv6": { do: "tcp", host: "2a00::1", port: 80 },
};

describe("kill switch: what passes beside the tunnel", (test, { before, after }) => {
  let rig: KillSwitchRig;
  /** packets that came by the cable since it was asked last, but for what the local network tells itself */
  const strayed = (): number => Number(/packets (\d+)/.exec(rig.outside.run("nft reset counter inet beside strayed"))?.[1]);
  before(async () => {
    rig = await openKillSwitchRig();
    rig.outside.run(
      "nft -f -",
      `table inet beside {
        counter strayed { }
        chain in {
          type filter hook prerouting priority -400;
          iifname "eth0" meta l4proto { tcp, udp } th dport { 53, 853 } counter name strayed return
          iifname "eth0" ip daddr { ${internet}, ${lan}, ${resolver} } counter name strayed
          iifname "eth0" ip6 daddr 2a00::/16 counter name strayed
        }
      }\n`,
    );
  });
  after(() => rig?.end());

  for (const state of shieldStates) {
    const standing: Standing = state === "up" || state === "handshaking" ? { state, tunnel } : { state };
    const opened = async (probes: Record<string, Probe>) =>
      Promise.all(Object.entries(probes).map(async ([what, probe]) => [what, (await rig.consumer.ask(probe)).split(" ")[0]]));
    const all = (probes: Record<string, Probe>, result: string) => Object.keys(probes).map((what) => [what, result]);

    test(
      `${state}: ${shield.lanAllowed.packet}`,
      async () => {
        await rig.load(standing, { lan: true, split: [] });
        assert.deepEqual(await opened(local), all(local, "open"));
        assert.match(await rig.outside.ask({ do: "tcp", host: home, port: 80 }), /^open/);
        strayed();
        await opened(never);
        assert.equal(strayed(), 0);
        // from afar nothing comes in even so
        assert.equal(await rig.outside.ask({ do: "tcp", host: "11.0.0.1", port: 80 }), "silence");
      },
      { skip },
    );

    test(
      `${state}: ${shield.split.packet}`,
      async () => {
        await rig.load(standing, { lan: false, split: [`${otherExit}/32`] });
        assert.deepEqual(await opened(beside), all(beside, "open"));
        strayed();
        const refused = await opened({ ...never, ...local });
        assert.equal(strayed(), 0);
        assert.deepEqual(
          refused.filter(([what = "", result]) => what in local && result === "open"),
          [],
        );
        assert.equal(await rig.outside.ask({ do: "tcp", host: home, port: 80 }), "silence");
      },
      { skip },
    );
  }

  test(
    "with no kill switch the router sees all that neither opens",
    async () => {
      await rig.unload();
      for (const [what, probe] of Object.entries(never)) {
        strayed();
        await until(async () => {
          await rig.consumer.ask(probe);
          return strayed() > 0;
        }).catch(() => assert.fail(what));
      }
    },
    { skip },
  );

  test(
    "--dns: questions to whatever address go to it, through the tunnel; who asks the exit's own resolver gets that",
    async () => {
      await rig.load({ state: "up", tunnel }, { lan: true, split: [], dns: resolver });
      strayed();
      for (const to of ["9.9.9.9", lan, neighbour, resolver])
        assert.equal(await rig.consumer.ask({ do: "tcp", host: to, port: 53 }), `open ${own} ${resolver}`, to);
      assert.equal(await rig.consumer.ask({ do: "tcp", host: tunnelDns, port: 53 }), `open ${own} ${tunnelDns}`);
      assert.equal(strayed(), 0);
    },
    { skip },
  );

  test(
    "the node's connections to peers are of segments that every way takes, in both directions, and no others are",
    async () => {
      const hooks = ["postrouting priority 400", "input priority 400"];
      const chains = hooks.map(
        (hook, i) => `chain c${i} { type filter hook ${hook}; tcp flags & syn == syn tcp option maxseg size 536 counter; }\n`,
      );
      /** what the opening packet and its answer ask for, so seen where they leave and come in */
      const small = async (who: Namespace, host: string, port: number) => {
        rig.consumer.run("nft -f -", `add table inet sizes\ndelete table inet sizes\ntable inet sizes { ${chains.join(" ")} }\n`);
        assert.match(await who.ask({ do: "tcp", host, port }), /^open/);
        const listed = rig.consumer.run("nft list table inet sizes");
        return [...listed.matchAll(/packets (\d+)/g)].map(([, packets]) => Number(packets) > 0);
      };
      await rig.unload();
      assert.deepEqual(await small(rig.node, controlPeer, 4001), [false, false]);
      await rig.load({ state: "up", tunnel });
      assert.deepEqual(await small(rig.node, controlPeer, 4001), [true, true]);
      assert.deepEqual(await small(rig.consumer, internet, 80), [false, false]);
      rig.consumer.run("nft delete table inet sizes");
    },
    { skip },
  );
});
