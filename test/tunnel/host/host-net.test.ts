import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { hostFacts } from "../../../src/services/wireguard/host/facts.ts";
import type { HostNet } from "../../../src/services/wireguard/host/host-net.ts";
import type { Run } from "../../../src/services/wireguard/host/tools.ts";
import type { HostPlan } from "../../../src/services/wireguard/plan/host-plan.ts";
import { describe } from "../../support/harness.ts";
import { enterNamespaces } from "../backend/rig.ts";
import { lookDifference, type Namespace } from "../support/namespaces.ts";
import {
  blocked,
  bothHops,
  elsewhere,
  exit,
  firstHop,
  type HostRig,
  lastLost,
  openHostRig,
  otherFirewall,
  up,
  withLink,
} from "./host-rig.ts";

const same = (now: string, before: string, what?: string) => assert.deepEqual(lookDifference(now, before), [], what);
const skip = enterNamespaces(fileURLToPath(import.meta.url));

describe("host network", (test, { before, after }) => {
  let rig: HostRig;
  let host: Namespace;
  let directory: string;
  let clean: string;
  const open = (run?: Run): HostNet => rig.open(run);
  const look = () => rig.look();

  before(async () => {
    rig = await openHostRig();
    ({ host, directory, clean } = rig);
  });
  after(() => rig?.end());

  for (const [name, plans] of Object.entries<HostPlan[]>({
    exit: [exit],
    "kill switch": [blocked],
    client: [up],
    "kill switch, client, another exit, kill switch": [blocked, up, elsewhere, blocked],
    "exit and client together": [exit, up],
    "two hops, one after the other, the last one lost and again": [blocked, firstHop, bothHops, lastLost, bothHops, blocked],
  }))
    test(
      `${name}: applied, it verifies; reverted, the host is as before to the letter`,
      async () => {
        const net = open();
        for (const plan of plans) {
          await net.apply(plan);
          assert.deepEqual(await net.verify(plan.kind), []);
          assert.notEqual(look(), clean);
        }
        for (const kind of new Set(plans.map(({ kind }) => kind))) await net.revert(kind);
        same(look(), clean);
        assert.deepEqual(readdirSync(directory), []);
      },
      { skip },
    );

  test(
    "applied again it changes nothing",
    async () => {
      const net = open();
      await net.apply(up);
      const once = look();
      await net.apply(up);
      same(look(), once);
      // by a process that knows nothing of the first
      await open().apply(up);
      same(look(), once);
      await net.revert("client");
      same(look(), clean);
    },
    { skip },
  );

  test(
    "a device that went and came back is set up anew",
    async () => {
      const net = open();
      await net.apply(up);
      const whole = look();
      host.run("ip link del mystnode0");
      withLink(host, look);
      await net.apply(up);
      const numbered = (text: string) => text.replaceAll(/^\d+: /gm, "");
      same(numbered(look()), numbered(whole));
      await net.revert("client");
      same(look(), clean);
    },
    { skip },
  );

  test(
    "what comes and goes within the first of two tunnels does not touch that one",
    async () => {
      const net = open();
      await net.apply(firstHop);
      const changes = host.run("ip -o monitor link address > /run/changes 2>/dev/null < /dev/null & echo $!").trim();
      for (const plan of [bothHops, lastLost, bothHops]) await net.apply(plan);
      host.run(`kill ${changes}`);
      const told = host.run("cat /run/changes; rm /run/changes");
      assert.doesNotMatch(told, /mystfirst0/);
      assert.match(told, /mystnode0/, "and it would have been seen");
      await net.revert("client");
      same(look(), clean);
    },
    { skip },
  );

  test(
    "one exit after another leaves nothing of the first",
    async () => {
      const net = open();
      await net.apply(elsewhere);
      const direct = look();
      await net.apply(up);
      await net.apply(elsewhere);
      same(look(), direct);
      await net.revert("client");
      same(look(), clean);
    },
    { skip },
  );

  for (const [what, command] of Object.entries({
    "nft flush ruleset": "nft flush ruleset",
    "a rule deleted": "ip rule del pref 18230",
    "a route deleted": "ip route del unreachable default metric 4096 table 28025",
    "the device's route deleted": "ip route del default table 28025",
    "an IPv6 rule deleted": "ip -6 rule del pref 18230",
    "the address deleted": "ip addr flush dev mystnode0",
    "a rule added to the table": "nft insert rule inet mystnode_ks output accept",
    "the setting undone": "sysctl -qw net.ipv4.conf.all.src_valid_mark=0",
    "an accept deleted": "nft flush chain ip filter DOCKER-USER",
    "the first hop's route deleted": "ip route del default table 28006",
    "the first hop's rule deleted": "ip rule del fwmark 28006",
    "the first hop's address deleted": "ip addr flush dev mystfirst0",
    "forwarding undone": "sysctl -qw net.ipv4.ip_forward=0",
  }))
    test(
      `verify sees it, and apply mends it: ${what}`,
      async () => {
        const net = open();
        const client = what.includes("first hop") ? bothHops : up;
        await net.apply(exit);
        await net.apply(client);
        const whole = look();
        host.run(command);
        const problems = [...(await net.verify("client")), ...(await net.verify("exit"))];
        assert.ok(problems.length > 0);
        if (what === "nft flush ruleset") host.run("nft -f -", otherFirewall);
        if (what === "an accept deleted") host.run("nft add rule ip filter DOCKER-USER counter return");
        await net.apply(exit);
        await net.apply(client);
        assert.deepEqual([...(await net.verify("client")), ...(await net.verify("exit"))], []);
        // tables may be listed in another order
        assert.ok(
          lookDifference(look(), whole).every((line) => /another order/.test(line)),
          lookDifference(look(), whole).join("\n"),
        );
        await net.revert("client");
        await net.revert("exit");
        host.run("nft flush ruleset");
        host.run("nft -f -", otherFirewall);
        same(look(), clean);
      },
      { skip },
    );

  test(
    "when a step fails it says what the tool said, the kill switch stands, and revert takes all back",
    async () => {
      const net = open();
      host.run("ip link del mystnode0");
      await assert.rejects(net.apply(up), { code: "TUNNEL_FAILED", message: /Cannot find device/ });
      assert.match(look(), /mystnode_ks/);
      await net.revert("client");
      same(withLink(host, look), clean);
      await assert.rejects(open(() => Promise.reject(new Error("nft failed"))).apply(blocked), { code: "TUNNEL_FAILED" });
      await net.revert("client");
      same(look(), clean);
    },
    { skip },
  );

  test(
    "facts of the host",
    async () => {
      const facts = await hostFacts(host.net.run);
      assert.equal(facts.egressIf, "eth0");
      assert.ok(facts.own.includes("11.0.0.1") && facts.own.includes("127.0.0.1"));
      assert.deepEqual(facts.networks, ["11.0.0.0/24"]);
      assert.deepEqual(facts.forwardDrops, []);
      host.run(
        "nft add table inet firewalld; nft add chain inet firewalld filter_FORWARD '{ type filter hook forward priority 10; policy drop; }'",
      );
      assert.deepEqual((await hostFacts(host.net.run)).forwardDrops, ["inet firewalld filter_FORWARD"]);
      host.run("nft delete table inet firewalld");
    },
    { skip },
  );
});
