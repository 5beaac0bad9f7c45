import { execFileSync } from "node:child_process";
import { setTimeout as wait } from "node:timers/promises";
import type { Recorded } from "../../support/recorded.ts";
import { until } from "../../support/until.ts";
import { openTunnelMarket, type TunnelMarket } from "../../tunnel/support/market.ts";
import { nftHere } from "../../tunnel/support/router.ts";

/** What is wrong with the consumer's line, from before it connects or (`later`) while it is connected, once so many bytes were carried (`before`). */
export type Line = { lossPercent?: number; path?: number; later?: true; before?: number; bytes: number };

const KiB = 1024;
export const lines: Record<string, Line> = {
  "loss 1 %": { lossPercent: 1, bytes: 1024 * KiB },
  "loss 5 %": { lossPercent: 5, bytes: 512 * KiB },
  "loss 20 %": { lossPercent: 20, later: true, bytes: 64 * KiB },
  "path 800": { path: 800, bytes: 512 * KiB },
  "path 1000": { path: 1000, bytes: 512 * KiB },
  "path 1280": { path: 1280, bytes: 512 * KiB },
  "path 1400": { path: 1400, bytes: 512 * KiB },
  "path 1000, later": { path: 1000, later: true, bytes: 512 * KiB },
  "path 1200, after much": { path: 1200, later: true, before: 16 * 1024 * KiB, bytes: 512 * KiB },
};

export type LinkOptions = { kinds: string[]; runs: number; recorded: Recorded; log(line: string): void; signal: AbortSignal };
type Once = {
  problems: string[];
  /** packets that the line has thrown away */
  dropped: number;
  /** the largest packet that the tunnel takes in the end */
  mtu: number;
  /** what the exit bills beyond what the consumer has counted, as a part of the 12 % and 256 KiB that it may */
  allowance: number;
};
export type LinkFound = { tried: Record<string, number>; problems: string[]; droppedLeast: number; allowanceMost: number };

const table = "link_fault";
/** what an exit may bill of what does not arrive: 12 %, and 256 KiB */
const lossShare = 0.12;
const grace = 256 * KiB;
const stuckMs = 3_000;
/** until a way that has become narrower is known to be: 2 s of silence, and three rounds of what does not come back */
const narrowedMs = 12_000;
/** of an exit's device */
const tunnelMtu = 1420;

/** The router throws away without a word: what comes from the consumer, and what it sends or forwards to it. */
function impose({ consumer: { host } }: TunnelMarket, { lossPercent, path }: Line): void {
  const matches = [...(lossPercent ? [`numgen random mod 100 < ${lossPercent}`] : []), ...(path ? [`meta length > ${path}`] : [])];
  const rules = (side: "saddr" | "daddr") =>
    matches.map((match) => `ip ${side} ${host.address} ${match} counter name dropped drop`).join("\n");
  const chain = (hook: string, side: "saddr" | "daddr") => `chain ${hook} {\ntype filter hook ${hook} priority -450;\n${rules(side)}\n}`;
  const chains = [chain("prerouting", "saddr"), chain("forward", "daddr"), chain("output", "daddr")];
  nftHere(`table inet ${table} {\ncounter dropped { }\n${chains.join("\n")}\n}\n`);
}
const lift = () => nftHere(`add table inet ${table}\ndelete table inet ${table}\n`);
const droppedNow = (): number => {
  const text = execFileSync("nft", ["list", "counter", "inet", table, "dropped"], { stdio: "pipe" }).toString();
  return Number(/packets (\d+)/.exec(text)?.[1] ?? 0);
};

export async function runLinks({ kinds, runs, recorded, log, signal }: LinkOptions): Promise<LinkFound> {
  let opened: TunnelMarket | undefined;
  await using undo = new AsyncDisposableStack();
  const rig = async () => {
    if (opened) return opened;
    opened = undo.use(await openTunnelMarket());
    await opened.startExit();
    return opened;
  };
  const found: LinkFound = { tried: {}, problems: [], droppedLeast: Number.POSITIVE_INFINITY, allowanceMost: 0 };
  for (const kind of kinds) {
    const results = await recorded.each(kind, runs, signal, async (run): Promise<Once> => {
      const once = await tryLine(kind, await rig()).catch(
        (error: Error): Once => ({ problems: [`${kind}: ${error.message}`], dropped: 0, mtu: 0, allowance: 0 }),
      );
      log(
        `${kind}, ${run + 1} of ${runs}: packets up to ${once.mtu}, ${once.dropped} thrown away, ${once.allowance.toFixed(3)} of the allowance billed`,
      );
      for (const problem of once.problems) log(problem);
      return once;
    });
    for (const { problems, dropped, allowance } of results) {
      found.problems.push(...problems);
      found.droppedLeast = Math.min(found.droppedLeast, dropped);
      found.allowanceMost = Math.max(found.allowanceMost, allowance);
      found.tried[kind] = (found.tried[kind] ?? 0) + 1;
    }
  }
  return found;
}

async function tryLine(kind: string, market: TunnelMarket): Promise<Once> {
  const { consumer, exit, user, target } = market;
  const line = lines[kind] as Line;
  const problems: string[] = [];
  const carry = async (way: "down" | "up", bytes = line.bytes) => {
    const done = user.ask({ do: "transfer", host: target.address, way, bytes });
    done.catch(() => undefined);
    return done;
  };
  try {
    impose(market, line);
    // a program without a tunnel stands still, or loses packets: else the line is not what it is said to be
    const plain = carry("up", 128 * KiB);
    const went = await Promise.race([plain.then(() => true), wait(stuckMs, false)]);
    if (line.path && went) problems.push(`${kind}: what is larger passes without a tunnel`);
    if (line.later) lift();
    await market.startConsumer();
    if (line.before) await carry("down", line.before);
    if (line.later) impose(market, line);
    // what is open when the way becomes narrower stands still; what is opened once that is known does not
    if (line.later && line.path) await Promise.race([carry("down"), wait(narrowedMs)]);
    for (const way of ["up", "down"] as const)
      await carry(way).catch((error: Error) => problems.push(`${kind}: nothing is carried ${way}: ${error.message}`));
    const mtu = () => Number(/mtu (\d+)/.exec(consumer.host.run("ip route show table 28025"))?.[1]);
    // WireGuard adds 60 bytes, and fills up to 16
    const most = Math.min(tunnelMtu, (line.path ?? 1500) - 60);
    await until(() => mtu() <= most && mtu() > most - 20, 15_000).catch(() => problems.push(`${kind}: packets up to ${mtu()}`));
    const [dropped, found] = [droppedNow(), mtu()];
    lift();
    const ours = JSON.parse(consumer.command(["disconnect", "--wait", "--json"])).session;
    await consumer.stop();
    const id = (await exit.api.call("sessions")).sessions[0];
    const [used, billed] = [Number(ours.usedBytes), Number(id?.usedBytes ?? 0n)];
    const allowance = (billed - used) / (used * lossShare + grace);
    if (!(used > 2 * line.bytes && allowance <= 1)) problems.push(`${kind}: ${billed} bytes billed of ${used}`);
    return { problems, dropped, mtu: found, allowance: Math.max(0, allowance) };
  } finally {
    lift();
    await consumer.stop();
    consumer.command(["cleanup"]);
  }
}
