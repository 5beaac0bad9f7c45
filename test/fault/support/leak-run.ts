import { setTimeout as wait } from "node:timers/promises";
import type { Recorded } from "../../support/recorded.ts";
import { until } from "../../support/until.ts";
import { streamPort } from "../../tunnel/support/agent.ts";
import { type Capture, type Seen, startCapture } from "../../tunnel/support/capture.ts";
import { routerOf } from "../../tunnel/support/internet.ts";
import { openTunnelMarket, type TunnelMarket } from "../../tunnel/support/market.ts";
import { type Probes, tracesOf } from "../../tunnel/support/probing.ts";
import { type Fault, faults, states } from "./leak-faults.ts";

/** What can happen, by name: the states as "in state up". */
export const happenings: Record<string, Fault> = {
  ...Object.fromEntries(Object.entries(states).map(([state, fault]) => [`in state ${state}`, fault])),
  ...faults,
};

export type LeakOptions = {
  /** names of `happenings` */
  kinds: string[];
  /** of each */
  runs: number;
  recorded: Recorded;
  log(line: string): void;
  signal: AbortSignal;
};
type Once = { leaked: number; inside: number; unguarded: number; mendedMs?: number; problems: string[] };
export type LeakFound = {
  tried: Record<string, number>;
  /** packets outside of the tunnel */
  leaked: number;
  /** what they were, and whatever else went wrong */
  problems: string[];
  /** of the kind of probe that was seen least where nothing kept it in, how often it was seen, in the run where that was least */
  unguarded: number;
  /** packets to where they may go, while the kill switch stood */
  inside: number;
  /** how long it took at most until what somebody else had flushed stood again, ms */
  mendedMs: number;
};

/** how long the probes go on after something has happened */
const watchMs = 2_500;
const settleMs = 300;

export const probesOf = ({ consumer, target }: TunnelMarket): Probes => ({
  ...{ target: target.address, target6: target.address6, lan: routerOf(consumer.host), lan6: consumer.host.address6.replace(/2$/, "1") },
  stream: streamPort,
});

/**
 * Connects through a tunnel, lets something happen while a user's programs send all the time, and looks at the router what has come
 * from the consumer's host; then cleans up, shows that the same programs are seen now, and begins again.
 */
export async function runLeaks({ kinds, runs, recorded, log, signal }: LeakOptions): Promise<LeakFound> {
  let opened: { market: TunnelMarket; capture: Capture } | undefined;
  await using undo = new AsyncDisposableStack();
  const rig = async () => {
    if (opened) return opened;
    const market = undo.use(await openTunnelMarket());
    const capture = undo.use(startCapture(market.consumer.host));
    await market.startExit();
    await seeUnguarded(capture, probesOf(market), market);
    opened = { market, capture };
    return opened;
  };
  const found: LeakFound = { tried: {}, leaked: 0, problems: [], unguarded: Number.POSITIVE_INFINITY, inside: 0, mendedMs: 0 };
  for (const kind of kinds) {
    const results = await recorded.each(kind, runs, signal, async (run): Promise<Once> => {
      const { market, capture } = await rig();
      const once = await happen(kind, market, capture).catch(
        (error: Error): Once => ({ leaked: 0, inside: 0, unguarded: 0, problems: [`${kind}: ${error.message}`] }),
      );
      log(`${kind}, ${run + 1} of ${runs}: ${once.inside} packets of tunnel and control plane, ${once.leaked} outside`);
      for (const problem of once.problems) log(problem);
      return once;
    });
    for (const { leaked, inside, unguarded, mendedMs = 0, problems } of results) {
      found.leaked += leaked;
      found.inside += inside;
      found.unguarded = Math.min(found.unguarded, unguarded);
      found.mendedMs = Math.max(found.mendedMs, mendedMs);
      found.problems.push(...problems);
      found.tried[kind] = (found.tried[kind] ?? 0) + 1;
    }
  }
  return found;
}

/** An attempt that hangs is to be made anew. */
const within = <T>(attempt: Promise<T>): Promise<T | undefined> => Promise.race([attempt, wait(2_000, undefined)]);

async function happen(kind: string, market: TunnelMarket, capture: Capture): Promise<Once> {
  const { consumer, exit, user, target } = market;
  const fault = happenings[kind] as Fault;
  const problems: string[] = [];
  const fact = async () => (await consumer.api.call("status")).tunnel?.fact;
  const expect = async (when: string) => {
    const now = fault.fact && (await fact());
    if (now !== fault.fact) problems.push(`${kind}: ${now} ${when}`);
  };
  let mendedMs: number | undefined;
  let seen: ReturnType<typeof sorted>;
  let unguarded = 0;
  try {
    await (fault.enter ?? ((of: TunnelMarket) => of.startConsumer()))(market);
    capture.clear();
    await expect("when it began");
    await wait(settleMs + Math.random() * 500);
    mendedMs = await fault.strike?.(market);
    await wait(watchMs);
    await expect("when it ended");
    if (fault.carriesOn)
      await until(async () => (await within(user.ask({ do: "fetch", host: target.address })))?.text === exit.host.address, 15_000).catch(
        () => problems.push(`${kind}: nothing is carried any more`),
      );
    seen = sorted(capture, market);
  } finally {
    await fault.undo?.(market);
    await consumer.stop();
    consumer.command(["cleanup"]);
    unguarded = await seeUnguarded(capture, probesOf(market), market);
    if (/^exit/.test(kind)) {
      await exit.stop();
      await market.startExit();
    }
  }
  for (const { what, packets } of seen.outside) problems.push(`${kind}: ${packets} packets outside: ${what}`);
  const leaked = seen.outside.reduce((sum, { packets }) => sum + packets, 0);
  return { leaked, inside: seen.allowed, unguarded, ...(mendedMs !== undefined && { mendedMs }), problems };
}

/** What was captured, by whether it may pass a kill switch. */
export function sorted(capture: Capture, { allowed }: Pick<TunnelMarket, "allowed">): { allowed: number; outside: Seen[] } {
  const names = allowed.map(({ address, protocol, port }) => `${address} ${protocol} ${port}`);
  const seen = capture.seen();
  const may = ({ what }: Seen) => names.includes(what);
  return { allowed: seen.filter(may).reduce((sum, { packets }) => sum + packets, 0), outside: seen.filter((one) => !may(one)) };
}

/**
 * Where nothing keeps them in, every kind of probe is seen: else to see none would say nothing. How often the one was seen that was seen
 * least. They go on.
 */
export async function seeUnguarded(capture: Capture, probes: Probes, { user }: Pick<TunnelMarket, "user">): Promise<number> {
  await user.ask({ do: "probe", probes });
  capture.clear();
  const counts = () => {
    const seen = new Map(capture.seen().map(({ what, packets }) => [what, packets]));
    return tracesOf(probes).map((trace) => ({ trace, packets: seen.get(trace) ?? 0 }));
  };
  await until(() => counts().every(({ packets }) => packets > 0), 10_000).catch(() => {
    const missing = counts().filter(({ packets }) => packets === 0);
    throw new Error(`the capture does not see, with no kill switch: ${missing.map(({ trace }) => trace).join(", ")}`);
  });
  return Math.min(...counts().map(({ packets }) => packets));
}
