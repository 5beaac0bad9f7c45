import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { until } from "../../../support/until.ts";
import { type Host, processesOn } from "../../../tunnel/support/internet.ts";
import { openTunnelMarket } from "../../../tunnel/support/market.ts";
import { startTold } from "../../../tunnel/support/told.ts";
import type { ChurnTask, NodeLook } from "./program.ts";

export type ChurnFound = {
  sessions: number;
  /** what was still there when all was over, in words */
  left: string[];
  /** what a look sees while a session is open, and has to be gone afterwards */
  seenOpen: Record<string, number>;
  /** of each node, after every so many sessions */
  heaps: { exit: number[]; consumer: number[] };
  /** sessions between two of them */
  every: number;
  problems: string[];
};
export type ChurnOptions = { runs: number; log(line: string): void; signal?: AbortSignal };

const program = fileURLToPath(new URL("./program.ts", import.meta.url));
/** a freed address is forgotten by the firewall at the next look */
const settleMs = 20_000;

/** What there is of each, a line or more of it: in one go, since a look is taken often. */
const commands = {
  peers: "wg show all peers",
  interfaces: "ip -o link",
  addresses: "ip -o address",
  routes: "ip route show table all; ip -6 route show table all",
  "policy rules": "ip rule; ip -6 rule",
  "firewall rules": "nft -s -t list ruleset",
  "open quotas": "nft list ruleset | grep -E 'over [1-9][0-9]* '",
  // of the tunnel's clients
  "conntrack entries": "conntrack -L 2>/dev/null | grep -E 'src=10\\.18[0-9]\\.'",
  sockets: "tail -qn +2 /proc/net/udp /proc/net/udp6 /proc/net/tcp /proc/net/tcp6",
};

/** What is there on a host that a session brings, counted. */
function countOn(host: Host, rpcPort: number): Record<string, number> {
  const printed = host
    .run(
      Object.values(commands)
        .map((command) => `{ ${command}; } || true; echo ----`)
        .join("\n"),
    )
    .split("----\n");
  const lines = printed.map((text) => text.split("\n").filter((line) => line !== ""));
  const rpc = `:${rpcPort.toString(16).toUpperCase().padStart(4, "0")}`;
  // without those to the chain's RPC, which a node keeps for a while, and without what the kernel keeps of closed ones, which have no inode
  const isOfSession = (fields: string[]) => fields[9] !== "0" && !fields[2]?.endsWith(rpc);
  const open = (pattern: RegExp) =>
    processesOn(host)
      .filter(({ command }) => pattern.test(command))
      .reduce((sum, { pid }) => sum + readdirSync(`/proc/${pid}/fd`).length, 0);
  return {
    ...Object.fromEntries(Object.keys(commands).map((what, i) => [what, lines[i]?.length ?? 0])),
    sockets: (lines[Object.keys(commands).indexOf("sockets")] ?? []).filter((line) => isOfSession(line.trim().split(/\s+/))).length,
    processes: processesOn(host).length,
    "the helper's handles": open(/wireguard\/helper\/main/),
    "the tunnel's handles": open(/^wireguard-go /),
  };
}

/** Sessions one after the other, each with a page through the tunnel; looks at both hosts before, in the middle of one, and when all are over. */
export async function runChurn({ runs, log, signal }: ChurnOptions): Promise<ChurnFound> {
  await using market = await openTunnelMarket();
  const { joining, target, hosts } = market;
  const host = { exit: hosts.get("exit") as Host, consumer: hosts.get("consumer") as Host };
  using exit = await startTold<ChurnTask, NodeLook>(host.exit, program);
  using consumer = await startTold<ChurnTask, NodeLook>(host.consumer, program);
  const { networkFile, via, peer, dataDir } = joining;
  await exit.ask({ do: "serve", dataDir: dataDir.replace(/consumer$/, "exit"), networkFile, listen: via.replace(/\/p2p\/.*/, "") });
  await consumer.ask({ do: "join", dataDir, networkFile, via, peer });
  const rpcPort = market.allowed.at(-1)?.port ?? 0;
  const page = `http://${target.address}/`;
  const found: ChurnFound = {
    sessions: 0,
    left: [],
    seenOpen: {},
    heaps: { exit: [], consumer: [] },
    every: Math.max(1, Math.floor(runs / 40)),
    problems: [],
  };
  const looked = async (): Promise<Record<string, number>> => {
    const [one, other] = await Promise.all([exit.ask({ do: "look" }), consumer.ask({ do: "look" })]);
    return {
      ...Object.fromEntries(Object.entries(countOn(host.exit, rpcPort)).map(([what, count]) => [`exit: ${what}`, count])),
      ...Object.fromEntries(Object.entries(countOn(host.consumer, rpcPort)).map(([what, count]) => [`consumer: ${what}`, count])),
      "exit: the node's handles": one?.handles ?? Number.NaN,
      "exit: sessions": one?.sessions ?? Number.NaN,
      "consumer: the node's handles": other?.handles ?? Number.NaN,
    };
  };
  const more = (now: Record<string, number>, before: Record<string, number>) =>
    Object.entries(now).flatMap(([what, count]) => (count > (before[what] ?? 0) ? [{ what, count: count - (before[what] ?? 0) }] : []));
  const session = async (inTheMiddle?: () => Promise<void>) => {
    await consumer.ask({ do: "connect", page });
    await inTheMiddle?.();
    await consumer.ask({ do: "disconnect" });
  };

  // the first ones open what stays: connections between the nodes, tools that are kept
  await session(() => until(() => processesOn(host.exit).some(({ command }) => /^nft -s -t -i/.test(command)), settleMs));
  for (let i = 0; i < 2; i += 1) await session();
  await until(async () => (await looked())["exit: conntrack entries"] === 0, settleMs).catch(() => undefined);
  const before = await looked();
  await session(async () => {
    for (const { what, count } of more(await looked(), before)) found.seenOpen[what] = count;
  });
  for (let i = 0; i < runs && !signal?.aborted; i += 1) {
    try {
      await session();
      found.sessions += 1;
    } catch (error) {
      found.problems.push(`session ${i + 1}: ${(error as Error).message}`);
      if (found.problems.length > 3) break;
      await consumer.ask({ do: "disconnect" }).catch(() => undefined);
      continue;
    }
    if (found.sessions % found.every !== 0) continue;
    for (const [name, side] of [
      ["exit", exit],
      ["consumer", consumer],
    ] as const)
      found.heaps[name].push((await side.ask({ do: "look" }))?.heapBytes ?? Number.NaN);
    log(
      `${found.sessions} of ${runs} sessions; heap of the exit's node ${megabytes(found.heaps.exit.at(-1))}, of the consumer's ${megabytes(found.heaps.consumer.at(-1))}`,
    );
  }
  let left = more(await looked(), before);
  await until(async () => {
    left = more(await looked(), before);
    return left.length === 0;
  }, settleMs).catch(() => undefined);
  found.left = left.map(({ what, count }) => `${what}: ${count} more than before`);
  for (const side of [consumer, exit]) await side.ask({ do: "stop" });
  return found;
}

const megabytes = (bytes = Number.NaN): string => `${(bytes / 1e6).toFixed(1)} MB`;

/** How much a heap grew over the last half, by a straight line through its looks; bytes a session. */
export function slopeOf(heaps: number[], every: number): number {
  const half = heaps.slice(Math.floor(heaps.length / 2));
  const middle = (half.length - 1) / 2;
  const mean = half.reduce((sum, one) => sum + one, 0) / half.length;
  const [over, under] = half.reduce(([a, b], one, i) => [a + (i - middle) * (one - mean), b + (i - middle) ** 2], [0, 0]);
  return over / under / every;
}
