import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "../../../src/lib/ports.ts";
import { createHostNet, type HostNet } from "../../../src/services/wireguard/host/host-net.ts";
import type { Run } from "../../../src/services/wireguard/host/tools.ts";
import { type KillSwitchFacts, killSwitchPlan } from "../../../src/services/wireguard/plan/client.ts";
import { exitPlan } from "../../../src/services/wireguard/plan/exit.ts";
import { hostLook, type Namespace, openNamespace } from "../support/namespaces.ts";

export const exit = exitPlan({
  ifname: "mystexit0",
  pool: "10.182.0.0/28",
  mtu: 1280,
  egressIf: "eth0",
  dnsPort: 5353,
  pathPort: 5381,
  allow: [],
  block: [],
  own: ["11.0.0.1"],
});
const client: KillSwitchFacts = {
  ifname: "mystnode0",
  uid: 1000,
  control: [
    { address: "11.0.0.7", port: 4001, protocol: "tcp" },
    { address: "2001:db8::7", port: 4001, protocol: "tcp" },
  ],
  ipv6: true,
};
const tunnel = { exit: { address: "11.0.0.8", port: 51_820 }, address: "10.182.0.2", dns: "10.182.0.1", mtu: 1420, pathMtu: 1280 };
export const blocked = killSwitchPlan(client, { state: "blocked" });
export const up = killSwitchPlan(client, { state: "up", tunnel });
export const elsewhere = killSwitchPlan(
  { ...client, control: [{ address: "11.0.0.9", port: 4001, protocol: "udp" }] },
  { state: "up", tunnel: { ...tunnel, address: "10.183.0.5", dns: "10.183.0.1", mtu: 1420, pathMtu: 1300 } },
);

/** With two hops, of which both exits have given the same address: the first tunnel alone, and the other one within it. */
const through = {
  ...client,
  control: [...client.control, { address: "11.0.0.8", port: 4001, protocol: "tcp" as const, through: true as const }],
};
const first = { ...tunnel, ifname: "mystfirst0", exit: { address: "11.0.0.10", port: 51_820 } };
export const firstHop = killSwitchPlan(through, { state: "securing", first });
export const bothHops = killSwitchPlan(through, { state: "up", tunnel: { ...tunnel, mtu: 1200, pathMtu: 1200 }, first });
export const lastLost = killSwitchPlan(through, { state: "blocked", first });

/** What docker (26) and ufw (0.36) make by iptables-nft, as far as forwarding goes. */
export const otherFirewall = `
table ip filter {
  chain INPUT { type filter hook input priority filter; policy drop; counter jump ufw-before-input; }
  chain FORWARD {
    type filter hook forward priority filter; policy drop;
    counter jump DOCKER-USER
    counter jump ufw-before-forward
    iifname "docker0" oifname != "docker0" counter accept
  }
  chain DOCKER-USER { counter return; }
  chain ufw-before-forward { ct state established,related counter accept; }
  chain ufw-before-input { iifname "lo" counter accept; }
}
table ip6 filter {
  chain FORWARD { type filter hook forward priority filter; policy drop; }
}
table inet own {
  chain input { type filter hook input priority 5; policy accept; tcp dport 22 counter accept comment "mystnode"; }
}
`;

export type HostRig = {
  host: Namespace;
  directory: string;
  /** how the host looks with nothing applied */
  clean: string;
  open(run?: Run): HostNet;
  look(): string;
  end(): Promise<void>;
};

/** A host with interfaces, routes, rules, settings and a firewall of its own, and a device in the tunnel's place. */
export async function openHostRig(): Promise<HostRig> {
  const host = await openNamespace("host");
  const directory = mkdtempSync(join(tmpdir(), "hn-"));
  host.run(`sysctl -qw net.ipv6.conf.default.addr_gen_mode=1
    ip netns add far
    ip link add eth0 type veth peer name other netns far; ip -n far link set other up; ip link set eth0 up; ip addr add 11.0.0.1/24 dev eth0; ip route add default via 11.0.0.2
    ip link add mystnode0 type veth peer name far netns far; ip -n far link set far up
    ip link add mystfirst0 type veth peer name first netns far; ip -n far link set first up
    ip link add mystexit0 type veth peer name exit netns far; ip -n far link set exit up
    ip rule add pref 18220 from 11.0.0.1 lookup main; ip route add 44.0.0.0/8 dev eth0 table 28026
    sysctl -qw net.ipv4.ip_forward=0; sysctl -qw net.ipv4.conf.eth0.forwarding=1 net.ipv4.conf.all.accept_redirects=0`);
  host.run("nft -f -", otherFirewall);
  const look = () => hostLook(host);
  return {
    host,
    directory,
    clean: look(),
    open: (run) => createHostNet({ log: silentLogger, stateDirectory: directory, ...host.net, ...(run && { run }) }),
    look,
    end: async () => {
      await host.end();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** The device goes with a crashed run, which is right; here it comes back so that the rest can be compared. */
export function withLink(host: Namespace, look: () => string): string {
  for (const [name, end] of Object.entries({ mystnode0: "far", mystfirst0: "first", mystexit0: "exit" }))
    if (!host.run("ip link").includes(`${name}@`))
      host.run(`ip link add ${name} type veth peer name ${end} netns far; ip -n far link set ${end} up`);
  return look();
}

/** As if the process that wrote the records had ended. */
export function pretendDead(directory: string): void {
  for (const name of readdirSync(directory).filter((one) => one.endsWith(".json"))) {
    const path = join(directory, name);
    const state = JSON.parse(readFileSync(path, "utf8"));
    writeFileSync(path, JSON.stringify({ ...state, owner: { pid: 999_999, began: "1" } }));
  }
}
