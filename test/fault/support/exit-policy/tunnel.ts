import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { dnsPort, pathPort } from "../../../../src/services/wireguard/types.ts";
import { startNameServer } from "../../../support/name-server.ts";
import { until } from "../../../support/until.ts";
import { streamPort, webPort } from "../../../tunnel/support/agent.ts";
import { type Capture, startCapture } from "../../../tunnel/support/capture.ts";
import { processesOn, routerOf } from "../../../tunnel/support/internet.ts";
import { openTunnelMarket, type TunnelMarket } from "../../../tunnel/support/market.ts";
import type { Attempt } from "../../../tunnel/support/trying.ts";
import type { PolicyFound, PolicyOptions } from "./found.ts";
import { mailPorts, ownPorts, publicHosts } from "./traps.ts";
import { attackersRecords, newTry } from "./tries.ts";

/** What a client of a tunnel may try; how an address is spelled its own machine knows, and sends an address. */
const kinds = ["private", "metadata", "the exit", "mail", "another client", "spoofed source", "rebinding"] as const;
type Kind = (typeof kinds)[number];
const ways = ["tcp", "udp"] as const;

const batch = 100;
const controlTries = 20;
const arrivalMs = 300;
/** to there goes what has another's source: nothing else does */
const spoofPort = 1900;

type Ground = {
  market: TunnelMarket;
  /** inside of the tunnel */
  gateway: string;
  victim: string;
  /** what has arrived since the last call where nothing may, in words */
  caught(): string[];
  attempt(kind: Kind, way: Attempt["way"]): Attempt;
};

const isV4 = (host: string) => !host.includes(":");

/** Its address in the tunnel, which is up a moment before the session says so. */
async function addressOf({ api }: Pick<TunnelMarket["consumer"], "api">): Promise<string> {
  const now = async () => (await api.call("status")).connection?.endpoint.address;
  await until(async () => (await now()) !== undefined);
  return (await now()) ?? "";
}

/** An exit with two clients, one of which tries what it must not, and an attacker's name server that the exit asks. */
async function openGround(undo: AsyncDisposableStack): Promise<Ground> {
  const market = undo.use(await openTunnelMarket({ guests: 2, serving: ["--flow-limit", "100000"] }));
  const { exit, guests, target } = market;
  const [attacker, other] = guests as [(typeof guests)[0], (typeof guests)[0]];
  undo.use(await startNameServer(attackersRecords(), { address: routerOf(exit.host), port: 53 }));
  // ours is a mount namespace of our own
  writeFileSync("/run/resolv.conf", `nameserver ${routerOf(exit.host)}\n`);
  execFileSync("mount", ["--bind", "/run/resolv.conf", "/etc/resolv.conf"]);
  await market.startExit();
  for (const guest of guests) await market.startConsumer(guest);
  const victim = await addressOf(other.node);
  const gateway = victim.replace(/\d+$/, "1");

  // who comes in there after the exit's own table, and with the other client before anybody's
  const tap = (table: string, hook: string, rule: string) =>
    `table inet ${table} {\n  chain ${hook} { type filter hook ${hook} priority ${hook === "input" ? 500 : -500}; ${rule} counter; }\n}\n`;
  exit.host.run("nft -f -", tap("tap", "input", `iifname "mystn*" meta l4proto { tcp, udp } th dport != { ${dnsPort}, ${pathPort} }`));
  other.node.host.run(
    "nft -f -",
    tap("tap", "prerouting", `iifname "mystc*" meta l4proto { tcp, udp } th dport { 80, 443, ${spoofPort} }`),
  );
  const counts = new Map<string, number>();
  const tapped = (host: TunnelMarket["target"], hook: string, what: string): string[] => {
    const now = Number(/packets (\d+)/.exec(host.run(`nft list chain inet tap ${hook}`))?.[1]);
    const more = now - (counts.get(what) ?? 0);
    counts.set(what, now);
    return more > 0 ? [`${what}: ${more} packets`] : [];
  };
  const capture: Capture = undo.use(startCapture(exit.host));
  const mayLeave = [
    // peers, the chain and the name server; what may pass
    ...[...market.hosts.values()].filter(({ name }) => name.startsWith("consumer")).map(({ address }) => new RegExp(`^${address} `)),
    new RegExp(`^${routerOf(market.consumer.host)} tcp `),
    new RegExp(`^${routerOf(exit.host)} udp 53$`),
    // the exit's node looks for peers on its own network
    /^(224\.0\.0\.251 udp 5353|ff02::fb udp)$/,
    new RegExp(`^${target.address} tcp (${webPort}|${streamPort})$`),
    new RegExp(`^${publicHosts.v4} (tcp|udp) (53|80|123|443|8080|1900|4450)$`),
  ];
  const caught = () => {
    const left = capture.seen().filter(({ what }) => !mayLeave.some((pattern) => pattern.test(what)));
    capture.clear();
    return [
      ...left.map(({ what, packets }) => `${what}: ${packets} packets`),
      ...tapped(exit.host, "input", "the exit itself"),
      ...tapped(other.node.host, "prerouting", "the other client"),
    ];
  };

  // behind its own kill switch, which lets no other source pass
  const sources = [victim, gateway, exit.host.address, target.address, "8.8.4.4", "10.0.0.9", "192.168.7.7"];
  const map = sources.map((address, i) => `${i} : ${address}`).join(", ");
  attacker.node.host.run(
    "nft -f -",
    `table ip spoof {\n  chain out { type filter hook postrouting priority 400; meta l4proto { tcp, udp } th dport ${spoofPort} ip saddr set numgen random mod ${sources.length} map { ${map} }; }\n}\n`,
  );
  const pick = <T>(list: readonly T[]): T => list[Math.floor(Math.random() * list.length)] as T;
  const v4Of = (kind: "private" | "metadata", udp: boolean) => {
    for (;;) {
      const { host, port } = newTry(kind, udp);
      // its own machine knows these as its own, or as no address
      if (isV4(host) && !/^(127|0)\./.test(host)) return { host, port };
    }
  };
  const attempt = (kind: Kind, way: Attempt["way"]): Attempt => {
    const udp = way === "udp";
    switch (kind) {
      case "private":
      case "metadata":
        return { way, ...v4Of(kind, udp) };
      case "the exit":
        return { way, host: pick([exit.host.address, gateway]), port: pick([...ownPorts, 51_820, 4480]) };
      case "mail":
        return { way, host: pick([target.address, publicHosts.v4]), port: pick(mailPorts) };
      case "another client":
        return { way, host: victim, port: pick([80, 443]) };
      case "spoofed source":
        return { way, host: target.address, port: spoofPort };
      case "rebinding":
        return { way, host: newTry(Math.random() < 0.5 ? "rebinding" : "name", udp).host, port: 80, isName: true };
    }
  };
  return { market, gateway, victim, caught, attempt };
}

/** Tries each kind in each way by turns; after each batch something that may pass has to. */
async function underPolicy(ground: Ground, { runs, log, signal }: PolicyOptions, found: PolicyFound): Promise<void> {
  const { market, caught, attempt } = ground;
  caught();
  for (let done = 0; done < runs && !signal?.aborted; done += batch) {
    const tries = Array.from({ length: Math.min(batch, runs - done) }, (_, i) => {
      const way = ways[(done + i) % ways.length] ?? "tcp";
      const kind = kinds[Math.floor((done + i) / ways.length) % kinds.length] ?? "private";
      found.tried[`${kind}, ${way}`] = (found.tried[`${kind}, ${way}`] ?? 0) + 1;
      return attempt(kind, way);
    });
    await market.user.ask({ do: "try", attempts: tries });
    const page = await market.user.ask({ do: "fetch", host: market.target.address });
    if (page.text === market.exit.host.address) found.reached += 1;
    for (const arrival of caught()) {
      found.passed += 1;
      found.problems.push(`reached: ${arrival}`);
    }
    if (done % 1000 === 0) log(`tunnel: ${done} of ${runs} tries; ${found.passed} through`);
  }
}

/**
 * With the exit's table gone, and its WireGuard told to take any source, the same tries arrive, each kind in each way: else that none does would
 * say nothing. The helper, which would mend it, stands still meanwhile.
 */
async function withoutPolicy({ market, caught, attempt }: Ground, { signal }: PolicyOptions, found: PolicyFound): Promise<void> {
  const { host } = market.exit;
  const [helper] = processesOn(host).filter(({ command }) => /wireguard\/helper\/main/.test(command));
  if (!helper) throw new Error("the exit has no helper");
  const own = await addressOf(market.consumer);
  const [, key = ""] =
    host
      .run("wg show all allowed-ips")
      .split("\n")
      .map((line) => line.split("\t"))
      .find(([, , networks]) => networks?.startsWith(`${own}/`)) ?? [];
  const ifname = host.run("wg show interfaces").trim();
  process.kill(helper.pid, "SIGSTOP");
  try {
    host.run(`wg set ${ifname} peer ${key} allowed-ips 0.0.0.0/0`);
    host.run(
      "nft delete table inet mystnode; nft -f -",
      "table ip control {\n chain out { type nat hook postrouting priority 100; oifname eth0 masquerade; }\n}\n",
    );
    // names are asked for at the gateway's port 53
    host.run(
      `nft add chain ip control in '{ type nat hook prerouting priority -100; }'; nft add rule ip control in iifname ${ifname} meta l4proto '{ tcp, udp }' th dport 53 redirect to :${dnsPort}`,
    );
    for (const kind of kinds)
      for (const way of ways) {
        caught();
        let arrived = 0;
        for (let i = 0; i < controlTries && arrived === 0 && !signal?.aborted; i += 5) {
          await market.user.ask({ do: "try", attempts: Array.from({ length: 5 }, () => attempt(kind, way)) });
          await wait(arrivalMs);
          arrived = caught().length;
        }
        found.seen[`${kind}, ${way}`] = arrived;
      }
  } finally {
    host.run(`nft delete table ip control; wg set ${ifname} peer ${key} allowed-ips ${own}/32`);
    process.kill(helper.pid, "SIGCONT");
  }
  await until(() => host.run("nft list tables").includes("inet mystnode"), 20_000);
  await until(async () => (await market.user.ask({ do: "fetch", host: market.target.address })).text === host.address, 20_000);
}

/** In namespaces of our own, whose process is the router. */
export async function runTunnelPolicy(options: PolicyOptions): Promise<PolicyFound> {
  const found: PolicyFound = { tried: {}, problems: [], passed: 0, reached: 0, seen: {} };
  await using undo = new AsyncDisposableStack();
  const ground = await openGround(undo);
  await withoutPolicy(ground, options, found);
  options.log(`tunnel: with the policy off ${Object.values(found.seen).filter(Boolean).length} of ${kinds.length * ways.length} arrive`);
  await underPolicy(ground, options, found);
  return found;
}
