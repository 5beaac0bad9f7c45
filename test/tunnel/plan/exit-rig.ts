import { parsePolicy } from "../../../src/services/policy.ts";
import { quotaName } from "../../../src/services/wireguard/plan/credit.ts";
import { type ExitFacts, exitPlan } from "../../../src/services/wireguard/plan/exit.ts";
import { cable, type Namespace, openNamespace } from "../support/namespaces.ts";

export const gateway = "10.182.0.1";
export const clients = ["10.182.0.2", "10.182.0.3"] as const;
export const exitAddress = "11.0.0.1";
export const exitSecondAddress = "11.0.0.9";
export const target = "11.0.0.2";
/** on the exit's other interface */
export const neighbour = "12.0.0.2";
export const dnsPort = 5353;
const enough = 10n ** 12n;

export type ExitRig = {
  one: Namespace;
  two: Namespace;
  exit: Namespace;
  target: Namespace;
  facts(policy?: { allow: string[]; block: string[] }): ExitFacts;
  /** loads the plan's table with credit for both clients */
  load(facts: ExitFacts): void;
  credit(address: string, bytes: bigint): void;
  end(): Promise<void>;
};

/**
 * Two clients, an exit and a target that answers under every address there is. The tunnel's place is taken by a bridge of its name,
 * to which both clients are joined: the plan sees no difference, and clients could reach each other by it.
 */
export async function openExitRig(): Promise<ExitRig> {
  const [one, two, exit, far] = (await Promise.all(["one", "two", "exit", "target"].map((name) => openNamespace(name)))) as [
    Namespace,
    Namespace,
    Namespace,
    Namespace,
  ];
  exit.run("ip link add mystnode0 type bridge");
  for (const [index, client] of [one, two].entries()) {
    cable(exit, `p${index}`, client, "tun");
    exit.run(`ip link set p${index} master mystnode0`);
    client.run(
      `ip addr add ${clients[index]}/32 dev tun; ip route add default via ${gateway} dev tun onlink; ip addr add fd00::${index + 2}/64 dev tun nodad`,
    );
  }
  exit.run("ip addr add fd00::1/64 dev mystnode0 nodad");
  cable(exit, "eth0", far, "eth0");
  cable(exit, "lan0", far, "lan0");
  exit.run(
    `ip addr add ${exitAddress}/24 dev eth0; ip addr add ${exitSecondAddress}/24 dev eth0; ip addr add 12.0.0.1/24 dev lan0; ip route add default via ${target}`,
  );
  far.run(
    `ip addr add ${target}/24 dev eth0; ip addr add ${neighbour}/24 dev lan0; ip route add 10.182.0.0/24 via ${exitAddress};
     ip rule add pref 10 to ${target} lookup local; ip rule add pref 10 to ${neighbour} lookup local;
     for near in 11.0.0.0/24 12.0.0.0/24 10.182.0.0/24 44.0.0.0/24; do ip rule add pref 20 to $near lookup main; done;
     ip rule add pref 30 lookup local; ip rule del pref 0; ip route add local default dev lo table local; ip route add 44.0.0.0/24 via 12.0.0.1`,
  );
  // refusals are counted on; in the field the kernel's limit on them is as it should be
  exit.run("sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv4.icmp_msgs_per_sec=100000 net.ipv4.icmp_msgs_burst=100000");
  await exit.ask({ do: "listen", tcp: [22, 80, 8080], udp: [22, 500] });
  for (const client of [one, two]) await client.ask({ do: "listen", tcp: [80], udp: [500] });
  await far.ask({ do: "listen", tcp: [25, 53, 80, 443, 465, 587, 8080], udp: [25, 53, 443, 500] });
  const credit = (address: string, bytes: bigint) =>
    void exit.run("nft -f -", `add quota inet mystnode ${quotaName(address)} { over ${bytes} bytes; }\n`);
  return {
    one,
    two,
    exit,
    target: far,
    facts: (policy = { allow: [], block: [] }) => ({
      ifname: "mystnode0",
      pool: "10.182.0.0/24",
      mtu: 1280,
      pathPort: 5381,
      egressIf: "eth0",
      dnsPort,
      ...parsePolicy(policy),
      own: [exitAddress, exitSecondAddress, "12.0.0.1", "fe80::1"],
    }),
    load: (facts) => {
      exit.run("nft -f -", exitPlan(facts).nft);
      for (const address of clients) credit(address, enough);
    },
    credit,
    end: async () => void (await Promise.all([one, two, exit, far].map((host) => host.end()))),
  };
}

/** The same with the plan applied, and somebody who answers for the DNS forwarder. */
export async function openExitThatRuns(): Promise<ExitRig> {
  const rig = await openExitRig();
  for (const { add } of exitPlan(rig.facts()).steps) rig.exit.run(`ip ${add}`);
  rig.exit.run("sysctl -qw net.ipv4.ip_forward=1");
  await rig.exit.ask({ do: "listen", tcp: [dnsPort], udp: [dnsPort, 5381], address: gateway });
  rig.load(rig.facts());
  return rig;
}
