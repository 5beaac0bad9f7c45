import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { quotaName } from "../../../src/services/wireguard/plan/credit.ts";
import { exitTable } from "../../../src/services/wireguard/plan/host-plan.ts";
import type { ExitConfig } from "../../../src/services/wireguard/types.ts";
import { type Agent, startAgent } from "../support/agents.ts";
import { type Host, inside, openInternet } from "../support/internet.ts";
import type { Order, Reply } from "./node-side.ts";

const program = fileURLToPath(new URL("./node-side.ts", import.meta.url));

/** The node's process on one host. */
export type NodeSide = {
  pid: number;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the order answers
  ask(order: Order): Promise<any>;
  signal(name: NodeJS.Signals): void;
};

/** It and the helper that it starts are in namespaces of ours, and end with them at the latest. */
export async function startNodeSide(host: Host): Promise<NodeSide> {
  const child = spawn(...inside(host, [process.execPath, program]), { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const waiting = new Map<number, { resolve(result: unknown): void; reject(error: unknown): void }>();
  let ids = 0;
  child.on("message", ({ id, result, error }: Reply) => {
    const asked = waiting.get(id);
    waiting.delete(id);
    if (error) asked?.reject(Object.assign(new Error(error.message), error));
    else asked?.resolve(result);
  });
  child.once("exit", () => {
    for (const { reject } of waiting.values()) reject(new Error("the node's process ended"));
  });
  await once(child, "message", { signal: AbortSignal.timeout(30_000) });
  const side: NodeSide = {
    pid: child.pid ?? 0,
    ask: (order) =>
      new Promise((resolve, reject) => {
        ids += 1;
        waiting.set(ids, { resolve, reject });
        child.send({ id: ids, order });
      }),
    signal: (name) => void child.kill(name),
  };
  await side.ask({ do: "start" });
  return side;
}

/** Processes, by what their command line begins with or has in it; all are in our PID namespace. */
export function processes(pattern: RegExp): { pid: number; command: string; parent: number }[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const command = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ");
        const parent = Number(readFileSync(`/proc/${name}/stat`, "utf8").split(") ").at(-1)?.split(" ")[1]);
        return pattern.test(command) ? [{ pid: Number(name), command, parent }] : [];
      } catch {
        return [];
      }
    });
}

/** The helper that a node's process has started. */
export const helperOf = ({ pid }: NodeSide): number => processes(/helper\/main\./).find(({ parent }) => parent === pid)?.pid ?? 0;
/** What it has started itself. */
export const childOf = (parent: number, pattern: RegExp): number => processes(pattern).find((one) => one.parent === parent)?.pid ?? 0;

export type Market = {
  host(name: string): Host;
  exit: NodeSide;
  opened: { publicKey: string; listenPort: number; gateway: string; mtu: number; ifname: string };
  client(name: string): { side: NodeSide; user: Agent; key: string };
  /** what has been carried to a host, as the router sees it: to a client as WireGuard counts, what is no traffic of anybody's left out */
  routerBytes(name: string): number;
  /** what the exit's WireGuard has counted for a client, both ways, as `wg` says */
  wgBytes(name: string): number;
  /** whether the exit's firewall lets nothing pass for a client, whatever it is given */
  isShut(name: string): boolean;
  /** gives a client this much in all */
  credit(name: string, totalBytes: number, forMs?: number): Promise<void>;
  counters(name: string): Promise<{ rx: number; tx: number; handshakeMs: number }>;
  openExit(): Promise<void>;
  /** admits a client that has a helper, and opens its tunnel */
  connect(name: string): Promise<void>;
  end(): void;
};

export const exitConfig: ExitConfig = { listenPort: 51_820, mtu: 1280, allow: [], block: [] };

/** An exit and clients on hosts of their own, each with its helper, and a target beyond the exit. */
export async function openMarket(
  names: string[],
  { onHost, config = exitConfig }: { onHost?: (host: Host) => void; config?: ExitConfig } = {},
): Promise<Market> {
  const hosts = openInternet(["exit", "target", ...names]);
  const host = (name: string) => hosts.get(name) as Host;
  for (const one of hosts.values()) onHost?.(one);
  const target = await startAgent(host("target"));
  await target.ask({ do: "serve" });
  const clients = new Map<string, { side: NodeSide; user: Agent; key: string }>();
  const client = (name: string) => clients.get(name) as { side: NodeSide; user: Agent; key: string };
  const addresses = new Map<string, string>();
  const routerBytes = countAtRouter([...hosts.values()], names);
  const market: Market = {
    host,
    client,
    exit: await startNodeSide(host("exit")),
    opened: { publicKey: "", listenPort: 0, gateway: "", mtu: 0, ifname: "" },
    openExit: async () => {
      market.opened = await market.exit.ask({ do: "openExit", config });
    },
    connect: async (name) => {
      const { publicKey, listenPort, gateway, mtu } = market.opened;
      const { address } = await market.exit.ask({ do: "admit", key: client(name).key });
      addresses.set(name, address);
      const endpoint = { address: host("exit").address, port: listenPort, protocol: "udp" } as const;
      await client(name).side.ask({ do: "secure" });
      await client(name).side.ask({ do: "up", exit: { publicKey, endpoint, address, dns: gateway, mtu } });
    },
    routerBytes,
    wgBytes: (name) => {
      const lines = host("exit").run("wg show all transfer").split("\n");
      const [, , rx, tx] = lines.map((line) => line.split("\t")).find(([, key]) => key === client(name).key) ?? [];
      return Number(rx) + Number(tx);
    },
    isShut: (name) => /over 0 bytes/.test(host("exit").run(`nft list quota inet ${exitTable} ${quotaName(addresses.get(name) ?? "")}`)),
    credit: (name, totalBytes, forMs = 60_000) => market.exit.ask({ do: "credit", credits: [[client(name).key, totalBytes, forMs]] }),
    counters: (name) => market.exit.ask({ do: "counters", key: client(name).key }),
    end: () => {
      for (const { side, user } of clients.values()) {
        user[Symbol.dispose]();
        side.signal("SIGKILL");
      }
      target[Symbol.dispose]();
      market.exit.signal("SIGKILL");
    },
  };
  await market.openExit();
  for (const name of names) {
    const side = await startNodeSide(host(name));
    const { publicKey } = await side.ask({ do: "openClient", config: { uid: 0, control: [] } });
    clients.set(name, { side, user: await startAgent(host(name)), key: publicKey });
    await market.connect(name);
  }
  return market;
}

/**
 * Counts what the router forwards, so neither what neighbours ask each other nor what it says itself; to clients only WireGuard's messages
 * that hold a packet (type 4, longer than a keepalive's 32 bytes), without IPv4 and UDP around them.
 */
function countAtRouter(hosts: Host[], clients: string[]): Market["routerBytes"] {
  const isClient = ({ name }: Pick<Host, "name">) => clients.includes(name);
  const rules = hosts.map((host) => {
    const what = isClient(host) ? `udp sport ${exitConfig.listenPort} udp length > 40 @th,64,8 4` : "";
    return `ip daddr ${host.address} ${what} counter name ${host.name}`;
  });
  const counters = hosts.map(({ name }) => `counter ${name} { }`);
  const chain = `chain forwarded { type filter hook forward priority 0\n${rules.join("\n")}\n}`;
  execFileSync("nft", ["-f", "-"], { input: `table inet router {\n${[...counters, chain].join("\n")}\n}\n` });
  return (name) => {
    const { nftables } = JSON.parse(execFileSync("nft", ["-j", "list", "counter", "inet", "router", name]).toString());
    const [{ counter }] = nftables.filter((one: object) => "counter" in one);
    return counter.bytes - (isClient({ name }) ? 28 * counter.packets : 0);
  };
}

/** Resolves once `value` has not changed for `quietMs`; what it is then. */
export async function settled(value: () => number | Promise<number>, quietMs = 1500): Promise<number> {
  let last = await value();
  for (let since = performance.now(); performance.now() - since < quietMs; ) {
    await new Promise((done) => setTimeout(done, 50));
    const now = await value();
    if (now !== last) since = performance.now();
    last = now;
  }
  return last;
}
