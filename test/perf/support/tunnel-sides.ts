import { percentile } from "../../support/report.ts";
import type { Way } from "../../tunnel/support/agent.ts";
import type { Agent } from "../../tunnel/support/agents.ts";
import type { Host } from "../../tunnel/support/internet.ts";
import { standing } from "./by-hand.ts";
import { cpuMs } from "./cpu.ts";

/** One kind of tunnels: who uses them, all at once, and on which hosts they cost CPU. */
export type Side = { users: Agent[]; hosts: Host[] };
export type Found = Record<Way, { mbitPerS: number[]; cpuSPerGB: number[] }>;

export const ways: Way[] = ["down", "up"];
/** what was due while our processes stood still is done by then */
const settleMs = 1_500;

export const none = (): Found => ({ down: { mbitPerS: [], cpuSPerGB: [] }, up: { mbitPerS: [], cpuSPerGB: [] } });

/** A transfer of `bytes` by each user at once, until the last one has ended. */
export async function transfer({ users, hosts }: Side, target: string, way: Way, bytes: number, found?: Found): Promise<void> {
  const without = users.map(({ pid }) => pid);
  const [beganMs, before] = [performance.now(), cpuMs(hosts, without)];
  await Promise.all(users.map((user) => user.ask({ do: "transfer", host: target, way, bytes })));
  const all = bytes * users.length;
  found?.[way].mbitPerS.push((all * 8) / 1000 / (performance.now() - beganMs));
  found?.[way].cpuSPerGB.push((cpuMs(hosts, without) - before) / 1000 / (all / 1e9));
}

export type Comparing = {
  ours: Side;
  /** each by its name, the first is what `ratio` is of */
  floors: Record<string, Side>;
  target: string;
  /** of each user, in each transfer */
  bytes: number;
  runs: number;
  warmUps: number;
  /** no further run begins after this, ms from the beginning of the first */
  enoughMs: number;
  signal: AbortSignal;
  log(line: string): void;
};
export type Compared = { ours: Found; floors: Record<string, Found>; runs: number };

/** Transfers by each in turns, each way. While another one has its turn our processes stand still, so that it bears nothing of ours. */
export async function compare({ ours, floors, target, bytes, runs, warmUps, enoughMs, signal, log }: Comparing): Promise<Compared> {
  const compared: Compared = { ours: none(), floors: Object.fromEntries(Object.keys(floors).map((name) => [name, none()])), runs: 0 };
  const users = ours.users.map(({ pid }) => pid);
  const round = async (way: Way, record: boolean) => {
    await standing(ours.hosts, users, async () => {
      for (const [name, side] of Object.entries(floors))
        await transfer(side, target, way, bytes, record ? compared.floors[name] : undefined);
    });
    await new Promise((done) => setTimeout(done, settleMs));
    await transfer(ours, target, way, bytes, record ? compared.ours : undefined);
  };
  for (let i = 0; i < warmUps; i += 1) for (const way of ways) await round(way, false);
  const began = performance.now();
  for (; compared.runs < runs && !signal.aborted && performance.now() - began < enoughMs; compared.runs += 1) {
    for (const way of ways) await round(way, true);
    const last = (found: Found) => ways.map((way) => `${way} ${Math.round(found[way].mbitPerS.at(-1) ?? 0)}`).join(", ");
    const beside = Object.entries(compared.floors).map(([name, found]) => `${name} ${last(found)}`);
    log(`${ours.users.length} at once, run ${compared.runs + 1}: ${last(compared.ours)} Mbit/s; ${beside.join("; ")}`);
  }
  return compared;
}

/** by median, both ways alike */
export const both = (found: Found, what: "mbitPerS" | "cpuSPerGB"): number =>
  ways.reduce((sum, way) => sum + percentile(found[way][what], 0.5) / ways.length, 0);

/** The median of what each pair says: what slows the machine slows both of a pair. */
export const ratio = (ours: Found, theirs: Found | undefined, what: "mbitPerS" | "cpuSPerGB"): number =>
  percentile(
    ways.flatMap((way) => ours[way][what].map((value, i) => value / (theirs?.[way][what][i] ?? Number.NaN))),
    0.5,
  );
