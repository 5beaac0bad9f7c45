import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { clientMark, throughMark } from "../../../src/services/wireguard/plan/routes.ts";
import { type ShieldRow, shield, verdict } from "../../../src/services/wireguard/plan/shield.ts";
import type { Standing } from "../../../src/services/wireguard/plan/standing.ts";
import { describe } from "../../support/harness.ts";
import { until } from "../../support/until.ts";
import { enterNamespaces } from "../backend/rig.ts";
import { cable, type Namespace, openNamespace } from "../support/namespaces.ts";
import type { Probe } from "../support/probe.ts";
import {
  controlPeer,
  exitAddress,
  exitPort,
  internet,
  type KillSwitchRig,
  openKillSwitchRig,
  otherExit,
  own,
  resolver,
  tunnel,
} from "./kill-switch-rig.ts";

const skip = enterNamespaces(fileURLToPath(import.meta.url));

/** Both exits have given the same address, as two that know nothing of each other do. */
const first = { ...tunnel, ifname: "mystfirst0" };
const within = { ...tunnel, exit: { address: otherExit, port: exitPort }, mtu: 1200, pathMtu: 1200 };
const control = [
  { address: controlPeer, port: 4001, protocol: "tcp" as const },
  { address: otherExit, port: 4001, protocol: "tcp" as const, through: true as const },
];
const standings: Standing[] = [
  { state: "down" },
  { state: "securing" },
  { state: "securing", first },
  { state: "handshaking", tunnel: within, first },
  { state: "up", tunnel: within, first },
  { state: "blocked", first },
  { state: "blocked" },
];
const nameOf = ({ state, first: outer }: Standing) => `${state}${outer ? "" : ", without the first tunnel"}`;
/** What is for neither the cable nor the first exit, whoever sends it. */
const others: Record<string, [ShieldRow, "consumer" | "node", Probe]> = {
  "TCP to the internet": ["internet", "consumer", { do: "tcp", host: internet, port: 80 }],
  "UDP to the internet": ["internet", "consumer", { do: "udp", host: internet, port: 80 }],
  "UDP from the address in the tunnels": ["internet", "consumer", { do: "udp", host: internet, port: 80, from: own }],
  "ICMP to the second exit": ["internet", "consumer", { do: "icmp", host: otherExit }],
  DNS: ["dns", "consumer", { do: "udp", host: resolver, port: 53 }],
  "IPv6 to the internet": ["ipv6", "consumer", { do: "udp", host: "2a00::1", port: 80 }],
  "another user's connection to the second exit": ["others", "consumer", { do: "tcp", host: otherExit, port: 4001 }],
  "the node's user to another port of the second exit": ["others", "node", { do: "tcp", host: otherExit, port: 4002 }],
  "unmarked UDP to the second exit's port": ["others", "node", { do: "udp", host: otherExit, port: exitPort }],
};

describe("kill switch with two hops", (test, { before, after }) => {
  let rig: KillSwitchRig;
  /** the first exit's end of its tunnel */
  let entry: Namespace;

  before(async () => {
    rig = await openKillSwitchRig();
    entry = await openNamespace("entry");
    cable(rig.consumer, first.ifname, entry, "tun");
    entry.run(
      `ip addr add 10.182.0.1/24 dev tun; for address in ${otherExit} ${internet} ${resolver}; do ip addr add $address/32 dev lo; done`,
    );
    entry.run(
      "nft -f -",
      `table inet tap {
        counter tunnel { }
        counter node { }
        counter other { }
        chain in {
          type filter hook prerouting priority -400;
          iifname != "tun" return
          meta nfproto ipv6 return
          ip daddr ${otherExit} udp dport ${exitPort} counter name tunnel return
          ip daddr ${otherExit} tcp dport 4001 counter name node return
          counter name other
        }
      }\n`,
    );
    await entry.ask({ do: "listen", tcp: [4001], udp: [] });
    await entry.ask({ do: "listen", tcp: [], udp: [exitPort], address: otherExit });
    rig.consumer.run(`sysctl -qw net.ipv4.conf.${first.ifname}.rp_filter=1`);
  });
  after(async () => {
    await entry?.end();
    await rig?.end();
  });

  /** packets that came out of the first tunnel since the last call */
  const inside = () => {
    const text = entry.run("nft reset counters table inet tap");
    const packets = (name: string) => Number(new RegExp(`counter ${name} \\{\\s+packets (\\d+)`).exec(text)?.[1]);
    return { tunnel: packets("tunnel"), node: packets("node"), other: packets("other") };
  };
  const none = { tunnel: 0, node: 0, other: 0 };
  const load = (standing: Standing) => rig.load(standing, undefined, control);

  test(
    "without it both ends would see each kind of packet",
    async () => {
      await load({ state: "up", tunnel: within, first });
      await rig.unload({ routes: false });
      // what goes by the table of the first tunnel is led there by that alone
      rig.consumer.run("ip rule add pref 1 lookup 28006");
      for (const [name, [row, who, probe]] of Object.entries(others))
        if (row !== "ipv6")
          await until(async () => {
            await rig[who].ask(probe);
            return Object.values(inside()).some((count) => count > 0);
          }).catch(() => assert.fail(name));
      rig.consumer.run("ip rule del pref 1");
      await load({ state: "down" });
      await rig.unload();
      for (const [name, [, who, probe]] of Object.entries(others).filter(([, [, , probe]]) => !("from" in probe)))
        await until(async () => {
          await rig[who].ask(probe);
          const { other, wireguard } = rig.seen();
          return other + wireguard > 0;
        }).catch(() => assert.fail(name));
    },
    { skip },
  );

  for (const standing of standings) {
    const { state } = standing;
    const name = nameOf(standing);
    test(
      `${name}: nothing else by the cable, nor into the first tunnel`,
      async () => {
        await load(standing);
        rig.seen();
        inside();
        const results = await Promise.all(
          Object.entries(others).map(async ([what, [, who, probe]]) => `${what}: ${await rig[who].ask(probe)}`),
        );
        assert.deepEqual({ ...rig.seen(), ndp: 0 }, { wireguard: 0, control: 0, dhcp: 0, ndp: 0, other: 0 }, results.join("; "));
        assert.deepEqual(inside(), none, results.join("; "));
      },
      { skip },
    );

    for (const [row, mark, address] of [
      ["first", clientMark, exitAddress],
      ["second", throughMark, otherExit],
    ] as const)
      test(
        `${name}: ${shield[row].packet}: ${verdict(row, state)}`,
        async () => {
          rig.seen();
          const result = sent(rig.consumer, mark, address);
          const { wireguard, other } = rig.seen();
          const wanted = standing.first ? verdict(row, state) : "no";
          assert.deepEqual(
            [wireguard, inside().tunnel, other],
            [Number(wanted === "passes"), Number(wanted === "in the first tunnel"), 0],
            result,
          );
          assert.equal(result, wanted === "no" ? "nothing" : "answered");
          // and to no other place
          for (const to of [internet, row === "first" ? otherExit : exitAddress]) assert.equal(sent(rig.consumer, mark, to), "nothing");
          assert.deepEqual([rig.seen().other, inside()], [0, none]);
        },
        { skip },
      );

    test(
      `${name}: ${shield.through.packet}: ${verdict("through", state)}`,
      async () => {
        rig.seen();
        const result = await rig.node.ask({ do: "tcp", host: otherExit, port: 4001 });
        const { node, other } = inside();
        assert.deepEqual([other, rig.seen().other], [0, 0]);
        if (standing.first) assert.equal(result, `open ${own} ${otherExit}`);
        else assert.doesNotMatch(result, /open|silence/);
        assert.equal(node > 0, standing.first !== undefined);
      },
      { skip },
    );
  }
});

/** A packet with a mark, as a tunnel's own socket sends it, and whether it is answered; what has nowhere to go is not sent. Node cannot set marks. */
const sent = (host: Namespace, mark: number, to: string): string => host.run(`perl -e '${marked}' ${to} ${exitPort} ${mark}`);
const marked = `use Socket;
my ($to, $port, $mark) = @ARGV;
socket(my $s, PF_INET, SOCK_DGRAM, 0) or die;
setsockopt($s, SOL_SOCKET, 36, 0 + $mark) or die "$!";
my $sent = defined send($s, "x", 0, pack_sockaddr_in($port, inet_aton($to)));
my $bits = "";
vec($bits, fileno($s), 1) = 1;
print $sent && select($bits, undef, undef, 0.3) && defined recv($s, my $got, 10, 0) ? "answered" : "nothing";
`;
