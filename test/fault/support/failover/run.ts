import { setTimeout as wait } from "node:timers/promises";
import { asMystError } from "../../../../src/lib/errors.ts";
import type { NodeStatus, SessionView } from "../../../../src/node/types.ts";
import { quantumMoney } from "../../../../src/payments/quantum.ts";
import { due } from "../../../../src/payments/terms.ts";
import { until } from "../../../support/until.ts";
import { type Capture, startCapture } from "../../../tunnel/support/capture.ts";
import { type Exit, openTunnelMarket, type TunnelMarket } from "../../../tunnel/support/market.ts";
import type { Probes } from "../../../tunnel/support/probing.ts";
import { probesOf, seeUnguarded, sorted } from "../leak-run.ts";
import { make, moveAway, spoil, type Way } from "./kills.ts";

/** What came of one exit that went, plain JSON. */
export type Outcome = {
  way: Way;
  /** for how long a program got nothing, ms; and from when the exit went until the next had taken over */
  outageMs: number;
  switchedMs: number;
  leaked: number;
  /** packets to where they may go */
  inside: number;
  /** what the exit has been promised beyond what it served, in quanta: one is prepaid */
  quanta: number;
  problems: string[];
};

const limitMs = 30_000;
/** a program asks while it still works */
const warmMs = 300;
/** counters are read a few times a second */
const countMs = 400;
/** a download has to go on for a while before it can be much slower than it was */
const steadyMs = 8_000;
/** the probes go on for so long after the switch */
const watchMs = 500;

/** A consumer's connection in a market of some exits, of which one after the other goes. */
export type FailoverRig = AsyncDisposable & {
  market: TunnelMarket;
  capture: Capture;
  /** Connected, with an exit standing by. */
  ready(): Promise<NonNullable<NodeStatus["connection"]>>;
  /** as it stands; undefined while no exit carries it, or no node runs */
  carried(): Promise<NodeStatus["connection"]>;
  /** of the kind of probe that the capture saw least, how many, where nothing kept them in */
  unguarded: number;
  /** Without failover an exit that goes is the end: how many pages there were afterwards, and packets outside. */
  off(): Promise<{ pages: number; leaked: number }>;
  go(way: Way): Promise<Outcome>;
  /** The consumer's machine has another address: how long no page came, ms, and packets outside. It has to be the same session. */
  move(): Promise<{ outageMs: number; leaked: number }>;
  /** An exit's tunnel loses most of what it carries, in the middle of a download: after how long another has taken over, ms. */
  spoil(): Promise<number>;
};

export async function openFailoverRig(count: number, log: (line: string) => void): Promise<FailoverRig> {
  await using undo = new AsyncDisposableStack();
  const market = undo.use(await openTunnelMarket({ exits: count }));
  const { consumer, exits, user, target } = market;
  const capture: Capture = undo.use(startCapture(consumer.host));
  const probes: Probes = probesOf(market);
  await Promise.all(exits.map((_, index) => market.startExit(index)));
  const unguarded = await seeUnguarded(capture, probes, market);

  const connection = async (): Promise<NonNullable<NodeStatus["connection"]>> => {
    const { connection: now } = await consumer.api.call("status", {}, AbortSignal.timeout(20_000));
    if (!now) throw new Error("there is no connection");
    return now;
  };
  const session = async (id: string) => (await consumer.api.call("session", { id })).session;
  const carrying = (now: SessionView): Exit => exits.find(({ peer }) => peer === now.peer) as Exit;
  const carried = async () => {
    const now = await connection().catch(() => undefined);
    return now?.failover.state === "carrying" ? now : undefined;
  };
  const ready = async () => {
    if (!(await connection().catch(() => undefined))) {
      await consumer.stop();
      consumer.command(["cleanup"]);
      await market.startConsumer(undefined, "up", ["--country", "US"]);
    }
    await until(async () => (await carried())?.failover.standby !== undefined);
    return connection();
  };
  const restart = async (exit: Exit) => {
    if (await exit.api.call("status", {}, AbortSignal.timeout(2_000)).catch(() => undefined)) return;
    await exit.stop(3_000);
    const start = () => market.startExit(exits.indexOf(exit));
    // on a machine that is too busy it may not be ready in time; of the two that would then run the first has the directory
    await start().catch(async () => {
      await exit.stop(3_000);
      await start();
    });
  };

  const go = async (way: Way): Promise<Outcome> => {
    const problems: string[] = [];
    const before = await ready();
    const exit = carrying(before);
    capture.clear();
    const outlook = user.ask({ do: "outlook", host: target.address, from: exit.host.address, limitMs });
    outlook.catch(() => undefined);
    await wait(warmMs + Math.random() * 700);
    const lookedMs = Date.now();
    const { usedMs } = await session(before.id);
    using gone = make(exit, way);
    const killedMs = Date.now();
    // what it has carried until then is counted by now
    const counted = wait(countMs).then(() => session(before.id));
    counted.catch(() => undefined);
    const { ms: outageMs, text } = await outlook;
    await until(async () => (await connection()).id !== before.id);
    await wait(watchMs);
    const after = await connection();
    const last = await session(before.id);
    const atKill = { bytes: (await counted).usedBytes, ms: usedMs + killedMs - lookedMs };
    const { allowed, outside } = sorted(capture, market);
    const leaked = outside.reduce((sum, { packets }) => sum + packets, 0);
    for (const { what, packets } of outside) problems.push(`${packets} packets outside: ${what}`);
    if (allowed === 0) problems.push("nothing at all was captured");
    if (text !== carrying(after).host.address)
      problems.push(`the page came by ${text}, the session is with ${carrying(after).host.address}`);
    const step = after.failover.switches.at(-1);
    if (step?.what !== "switched" || step.from !== exit.peer) problems.push(`it is told as ${step?.what}`);
    gone[Symbol.dispose]();
    await restart(exit);
    return {
      way,
      outageMs,
      switchedMs: (step?.atMs ?? 0) - killedMs,
      leaked,
      inside: allowed,
      quanta: unserved(way, atKill, last),
      problems,
    };
  };

  const opened = undo.move();
  return {
    ...{ market, capture, unguarded, ready, carried },
    off: async () => {
      const [exit] = exits as [Exit];
      await consumer.stop();
      consumer.command(["cleanup"]);
      await market.startConsumer();
      capture.clear();
      const outlook = user.ask({ do: "outlook", host: target.address, from: exit.host.address, limitMs: 6_000 });
      await wait(warmMs);
      make(exit, "all");
      const pages = await outlook.then(
        () => 1,
        () => 0,
      );
      const leaked = sorted(capture, market).outside.reduce((sum, { packets }) => sum + packets, 0);
      await consumer.stop();
      consumer.command(["cleanup"]);
      await restart(exit);
      return { pages, leaked };
    },
    move: async () => {
      const before = await ready();
      capture.clear();
      moveAway(consumer.host);
      const { ms } = await user.ask({ do: "outlook", host: target.address, from: "nobody", limitMs });
      await until(async () => (await carried())?.failover.switches.at(-1)?.what === "resumed");
      const now = await connection();
      if (now.id !== before.id) throw new Error("another session goes on");
      const leaked = sorted(capture, market).outside.reduce((sum, { packets }) => sum + packets, 0);
      return { outageMs: ms, leaked };
    },
    spoil: async () => {
      const before = await ready();
      const exit = carrying(before);
      // it is cut off
      user.ask({ do: "transfer", host: target.address, way: "down", bytes: 2 ** 40 }).catch(() => undefined);
      await wait(steadyMs);
      const beganMs = performance.now();
      using _ = spoil(exit);
      await user.ask({ do: "outlook", host: target.address, from: exit.host.address, limitMs: 2 * limitMs });
      return performance.now() - beganMs;
    },
    go: async (way) => {
      try {
        return await go(way);
      } catch (error) {
        const { code, message } = asMystError(error);
        log(`${way}: ${code} ${message}`);
        return { way, outageMs: limitMs, switchedMs: limitMs, leaked: 0, inside: 0, quanta: 0, problems: [`${code}: ${message}`] };
      }
    },
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/**
 * What was bought beyond what was served, in quanta. One that is killed whole, or cut off, serves nothing from then on; the others go on with
 * what is paid, and there our own count tells.
 */
function unserved(way: Way, atKill: { bytes: bigint; ms: number }, last: SessionView): number {
  const bought = due(last, { bytes: last.billedBytes, ms: last.billedMs });
  const served = due(last, way === "all" || way === "cable" ? atKill : { bytes: last.usedBytes, ms: last.usedMs });
  const quanta = Number(bought - served) / Number(quantumMoney(last, last.usedBytes));
  // amounts are rounded up
  return Math.round(quanta * 1e6) / 1e6;
}
