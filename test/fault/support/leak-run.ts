import { setTimeout as wait } from "node:timers/promises";
import { until } from "../../support/until.ts";
import { streamPort } from "../../tunnel/support/agent.ts";
import { type Capture, type Seen, startCapture } from "../../tunnel/support/capture.ts";
import { type Host, processesOn, routerOf } from "../../tunnel/support/internet.ts";
import { openTunnelMarket, type TunnelMarket } from "../../tunnel/support/market.ts";
import { type Probes, tracesOf } from "../../tunnel/support/probing.ts";

/** Who is killed. `exit`: the exit's node; `exit tunnel`: its WireGuard; the others are the consumer's. */
export const victims = ["tunnel", "node", "helper", "exit", "exit tunnel", "exit helper"] as const;
export type Victim = (typeof victims)[number];
export type LeakOptions = { kills: Victim[]; log(line: string): void; signal?: AbortSignal };
export type LeakFound = {
  /** kills by victim */
  tried: Record<string, number>;
  /** packets outside of the tunnel, and what they were */
  leaked: number;
  problems: string[];
  /** of each kind of probe, how many the capture saw where nothing kept them in */
  unguarded: Record<string, number>;
  /** packets to where they may go, while the kill switch stood */
  inside: number;
};

/** how long the probes go on after a kill */
const watchMs = 2_500;
const settleMs = 300;

const pattern: Record<Victim, RegExp> = {
  tunnel: /^wireguard-go /,
  node: /mystnode\.js connect/,
  helper: /wireguard\/helper\/main/,
  exit: /mystnode\.js serve/,
  "exit tunnel": /^wireguard-go /,
  "exit helper": /wireguard\/helper\/main/,
};

function kill(market: TunnelMarket, victim: Victim): void {
  const host: Host = victim.startsWith("exit") ? market.exit.host : market.consumer.host;
  const found = processesOn(host).filter(({ command }) => pattern[victim].test(command));
  if (found.length === 0) throw new Error(`there is no ${victim} to kill`);
  for (const { pid } of found) process.kill(pid, "SIGKILL");
}

/**
 * Connects through a tunnel, kills a part of it while a user's programs send all the time, and looks at the router what has come
 * from the consumer's host; then cleans up, shows that the same programs are seen now, and begins again.
 */
export async function runLeaks({ kills, log, signal }: LeakOptions): Promise<LeakFound> {
  await using market = await openTunnelMarket();
  const { consumer, exit, user, target } = market;
  using capture = startCapture(consumer.host);
  const probes: Probes = { target: target.address, target6: target.address6, lan: routerOf(consumer.host), stream: streamPort };
  const found: LeakFound = { tried: {}, leaked: 0, problems: [], unguarded: {}, inside: 0 };
  const problem = (text: string) => {
    found.problems.push(text);
    log(text);
  };
  await market.startExit();
  await seeUnguarded(capture, probes, found, market);
  for (const [index, victim] of kills.entries()) {
    if (signal?.aborted) break;
    try {
      await market.startConsumer();
      capture.clear();
      await wait(settleMs + Math.random() * 1_000);
      kill(market, victim);
      await wait(watchMs);
      const { allowed, outside } = sorted(capture, market);
      found.inside += allowed;
      for (const { what, packets } of outside) {
        found.leaked += packets;
        problem(`kill ${index + 1} (${victim}): ${packets} packets outside: ${what}`);
      }
      if (allowed === 0) problem(`kill ${index + 1} (${victim}): nothing at all was captured`);
      found.tried[victim] = (found.tried[victim] ?? 0) + 1;
      log(
        `kill ${index + 1} of ${kills.length}: ${victim}; ${allowed} packets of tunnel and control plane, ${found.leaked} outside so far`,
      );
      await consumer.stop();
      consumer.command(["cleanup"]);
      await seeUnguarded(capture, probes, found, market);
      if (victim.startsWith("exit")) {
        await exit.stop();
        await market.startExit();
      }
    } catch (error) {
      problem(`kill ${index + 1} (${victim}): ${(error as Error).message}`);
      break;
    }
  }
  await user.ask({ do: "probe", probes: undefined });
  return found;
}

/** What was captured, by whether it may pass a kill switch. */
function sorted(capture: Capture, { allowed }: TunnelMarket): { allowed: number; outside: Seen[] } {
  const names = allowed.map(({ address, protocol, port }) => `${address} ${protocol} ${port}`);
  const seen = capture.seen();
  const may = ({ what }: Seen) => names.includes(what);
  return { allowed: seen.filter(may).reduce((sum, { packets }) => sum + packets, 0), outside: seen.filter((one) => !may(one)) };
}

/** Where nothing keeps them in, every kind of probe is seen: else to see none would say nothing. */
async function seeUnguarded(capture: Capture, probes: Probes, found: LeakFound, { user }: TunnelMarket): Promise<void> {
  await user.ask({ do: "probe", probes });
  capture.clear();
  const missing = () => {
    const seen = new Map(capture.seen().map(({ what, packets }) => [what, packets]));
    for (const trace of tracesOf(probes)) found.unguarded[trace] = (found.unguarded[trace] ?? 0) + (seen.get(trace) ?? 0);
    return tracesOf(probes).filter((trace) => !seen.has(trace));
  };
  await until(() => missing().length === 0, 10_000).catch(() => {
    throw new Error(`the capture does not see, with no kill switch: ${missing().join(", ")}`);
  });
}
