import { setTimeout as wait } from "node:timers/promises";
import { larger } from "../../../../src/lib/bigint.ts";
import { startTarget } from "../../../support/proxy-rig.ts";
import { openRecorded, type Recorded } from "../../../support/recorded.ts";
import { percentile } from "../../../support/report.ts";
import { push } from "../silent-payer.ts";
import { type Cheat, openCheat } from "./cheat.ts";
import { claim, credulous } from "./claims.ts";
import { type Door, openDoor } from "./door.ts";
import { kinds } from "./kinds.ts";
import { calm, keepUsing, type LiveDoor, openLiveDoor, type Size } from "./live.ts";
import { meetInMemory, meetOverNetwork } from "./meetings.ts";
import { believing, overcharge } from "./overcharge.ts";
import { reconnect } from "./reconnects.ts";
import { control, openCrowd, tryKind } from "./tries.ts";
import { anyPurchase } from "./without.ts";

export type AttackOptions = {
  /** tries of each kind through the live exit's streams */
  live: number;
  /** tries of each kind in this process */
  fuzzed: number;
  lanes: number;
  log(line: string): void;
  signal?: AbortSignal;
  recorded?: Recorded;
};
/** What one batch of tries has come to: plain JSON. */
type Batch = { tried: number; accepted: string[]; problems: string[]; gainOverBound: string };

export type AttackFound = {
  /** tries by kind, through the live exit and in this process */
  tried: Record<string, { live: number; fuzzed: number }>;
  accepted: string[];
  problems: string[];
  /** base units: the most that a cheat has got beyond the bound of its kind */
  gainOverBound: bigint;
  /** by kind, how often an exit or a consumer without the defence was taken in */
  controls: Record<string, number>;
  honest: { promises: number; p99Ms: number; downloads: number };
  /** what the exit's process has grown by while it was attacked */
  growth: Size;
};

/** so many tries are one batch, recorded as one */
const perBatch = { live: 100, fuzzed: 1_000 };
const none = -(1n << 90n);
/** what else an exit has open at one time and not at another */
const spareHandles = 10;
const spareMib = 50;
/** an honest payer that could not pay for so long is not served */
const honestMs = 60_000;

/** How each of the kinds that are about a gain is tried, and what goes without its defence. */
type GainKind = {
  name: string;
  /** `door` undefined: in this process */
  run(
    tries: number,
    seed: string,
    lanes: number,
    door: LiveDoor | undefined,
    target: { port: number },
    signal: AbortSignal,
  ): Promise<Batch>;
  control(target: { port: number }): Promise<bigint>;
  /** whether there is an exit of a process of its own, or a network, in it */
  isLive: boolean;
};

const sum = (batches: Pick<Batch, "tried" | "accepted" | "problems" | "gainOverBound">[]): Batch => ({
  tried: batches.reduce((all, { tried }) => all + tried, 0),
  accepted: batches.flatMap(({ accepted }) => accepted),
  problems: batches.flatMap(({ problems }) => problems),
  gainOverBound: String(batches.reduce((most, one) => larger(most, BigInt(one.gainOverBound)), none)),
});
const aside = <T>(lanes: number, work: (lane: number) => Promise<T>) => Promise.all(Array.from({ length: lanes }, (_, i) => work(i)));

const gainKinds: GainKind[] = [
  {
    ...{ name: "overcharge", isLive: true },
    // a lie every 20 ms or so
    run: async (tries, seed, lanes, door, _, signal) => {
      const forMs = door ? 2_000 : 250;
      const sessions = Math.max(2, Math.ceil(tries / lanes / (forMs / 30)));
      const found = await aside(lanes, async (lane) => {
        await using meeting = await (door ? meetOverNetwork() : meetInMemory());
        const one = await overcharge(meeting, { sessions, forMs, seed: `${seed}/${lane}`, signal });
        const tried = Object.values(one.tried).reduce((all, count) => all + count, 0);
        return { tried, accepted: one.accepted, problems: [], gainOverBound: String(one.gainOverBound) };
      });
      return sum(found);
    },
    control: async () => {
      await using meeting = await meetInMemory();
      return (await overcharge(meeting, { sessions: 4, forMs: 250, seed: "overcharge/control", step: believing })).gainOverBound;
    },
  },
  {
    ...{ name: "unpaid reconnects", isLive: true },
    run: async (tries, seed, lanes, live, target, signal) => {
      const all = async (door: Door) => {
        const found = await aside(lanes, (lane) =>
          reconnect(door, { tries: Math.ceil(tries / lanes), target, seed: `${seed}/${lane}`, signal }),
        );
        return sum(found.map((one) => ({ ...one, accepted: [], gainOverBound: String(one.gainOverBound) })));
      };
      if (live) return all(live);
      await using door = await openDoor();
      return await all(door);
    },
    control: async (target) => {
      await using door = await openDoor(() => ({ step: anyPurchase }));
      return (await reconnect(door, { tries: 12, target, seed: "reconnect/control" })).gainOverBound;
    },
  },
  {
    ...{ name: "inflated receipts", isLive: false },
    run: async (tries, seed) => {
      const { tried, gainOverBound } = claim({ tries, seed });
      return { tried, accepted: [], problems: [], gainOverBound: String(gainOverBound) };
    },
    control: async () => claim({ tries: 100, seed: "claim/control", meter: credulous }).gainOverBound,
  },
];

const nothing = (): AttackFound => ({
  ...{ tried: {}, accepted: [], problems: [], gainOverBound: none, controls: {} },
  ...{ honest: { promises: 0, p99Ms: Number.NaN, downloads: 0 }, growth: { mib: 0, rssMib: 0, handles: 0 } },
});

/** Does so many tries of a kind in batches, those that are recorded left out, and enters what came of them. */
const batches =
  (found: AttackFound, where: "live" | "fuzzed", { log, signal = never, recorded = openRecorded(undefined, "attack") }: AttackOptions) =>
  async (name: string, count: number, once: (tries: number, seed: string) => Promise<Batch>) => {
    const size = Math.min(count, perBatch[where]);
    const done = await recorded.each(`${where} ${name}, ${size} of ${count}`, Math.ceil(count / size), signal, (batch) =>
      once(Math.min(size, count - batch * size), `${where}/${name}/${batch}`),
    );
    const { tried, accepted, problems, gainOverBound } = sum(done);
    found.tried[name] = { ...{ live: 0, fuzzed: 0 }, [where]: tried };
    found.accepted.push(...accepted);
    found.problems.push(...problems);
    found.gainOverBound = larger(found.gainOverBound, BigInt(gainOverBound));
    if (tried > 0)
      log(`${name}, ${where}: ${tried} tries, ${accepted.length} accepted${problems.length > 0 ? `, ${problems.length} problems` : ""}`);
  };
const never = new AbortController().signal;

/** In this process: exits without each of the defences first, which must be taken in, then one that has them all. */
export async function attackInProcess(options: AttackOptions): Promise<AttackFound> {
  const { lanes, signal = never } = options;
  const found = nothing();
  const inBatches = batches(found, "fuzzed", options);
  await using target = await startTarget(push);
  for (const kind of kinds) {
    if (signal.aborted) break;
    found.controls[kind.name] = await control(kind, 40);
  }
  for (const { name, control: without } of gainKinds) {
    if (signal.aborted) break;
    found.controls[name] = (await without(target)) > 0n ? 1 : 0;
  }
  for (const [name, seen] of Object.entries(found.controls))
    if (seen === 0) found.problems.push(`${name}: without the defence nothing is seen either`);
  for (const kind of kinds)
    await inBatches(kind.name, options.fuzzed, async (count, seed) => {
      await using door = await openDoor();
      await using crowd = openCrowd(door, await openCheat(door, await door.payer()), lanes);
      return { ...(await tryKind(kind, { door, crowd, count, seed, signal })), gainOverBound: String(none) };
    });
  for (const { name, run } of gainKinds)
    await inBatches(name, options.fuzzed, (count, seed) => run(count, seed, lanes, undefined, target, signal));
  return found;
}

/** Through the streams of an exit that is a process of its own, while others use it and pay. */
export async function attackLive(options: AttackOptions): Promise<AttackFound> {
  const { lanes, log, signal = never } = options;
  const found = nothing();
  const inBatches = batches(found, "live", options);
  await using undo = new AsyncDisposableStack();
  const target = undo.use(await startTarget(push));
  const door = undo.use(await openLiveDoor(target.port));
  const node = await keepUsing(door, 1_000);
  const { handles: idle } = await door.size();
  const honest = await payHonestly(door);
  const crowd = undo.use(openCrowd(door, await openCheat(door, undo.use(await door.payer())), lanes));
  await crowd.cheats("open");
  let before = await door.size();
  for (const kind of kinds)
    await inBatches(kind.name, options.live, async (count, seed) => {
      const one = { ...(await tryKind(kind, { door, crowd, count, seed, signal })), gainOverBound: String(none) };
      // what it takes to be busy at all it takes from the first batch on
      if (kind === kinds[0]) before = await door.size();
      return one;
    });
  for (const { name, run, isLive } of gainKinds)
    if (isLive) await inBatches(name, options.live, (count, seed) => run(count, seed, Math.min(lanes, 8), door, target, signal));
  const paid = await honest.end();
  const used = await node.end();
  found.problems.push(...paid.problems, ...used.problems);
  found.honest = { promises: paid.tookMs.length, p99Ms: percentile(paid.tookMs, 0.99), downloads: used.downloads };
  await crowd[Symbol.asyncDispose]();
  await calm(door, { mib: before.mib + spareMib, handles: idle + spareHandles }).catch(() => undefined);
  const after = await door.size();
  found.growth = { mib: after.mib - before.mib, rssMib: after.rssMib - before.rssMib, handles: after.handles - idle };
  log(
    `the honest payer: ${paid.tookMs.length} promises, ${used.downloads} downloads; the exit grew by ${Math.round(found.growth.mib)} MiB`,
  );
  return found;
}

/** What both have found. */
export function together(one: AttackFound, other: AttackFound): AttackFound {
  const names = new Set([...Object.keys(one.tried), ...Object.keys(other.tried)]);
  const count = (name: string, where: "live" | "fuzzed") => (one.tried[name]?.[where] ?? 0) + (other.tried[name]?.[where] ?? 0);
  return {
    ...other,
    tried: Object.fromEntries([...names].map((name) => [name, { live: count(name, "live"), fuzzed: count(name, "fuzzed") }])),
    accepted: [...one.accepted, ...other.accepted],
    problems: [...one.problems, ...other.problems],
    gainOverBound: larger(one.gainOverBound, other.gainOverBound),
    controls: { ...one.controls, ...other.controls },
  };
}

/** Somebody who pays as one should, ten times a second, before, while and after the others do not. */
async function payHonestly(door: Door): Promise<{ end(): Promise<{ tookMs: number[]; problems: string[] }> }> {
  const payer = await door.payer();
  const honest: Cheat = await openCheat(door, payer);
  door.bystanders.add(payer.identity.address);
  const tookMs: number[] = [];
  const problems: string[] = [];
  let over = false;
  let paidMs = performance.now();
  const paying = (async () => {
    while (!over && problems.length === 0) {
      try {
        tookMs.push(await honest.pay());
        paidMs = performance.now();
      } catch (error) {
        // a machine that is too busy loses connections; an exit that does not let one pay does so for good
        honest.lose();
        if (performance.now() - paidMs > honestMs) problems.push(`an honest payer: ${(error as Error).message}`);
      }
      await wait(100);
    }
  })();
  return {
    end: async () => {
      over = true;
      await paying;
      honest.lose();
      await payer[Symbol.asyncDispose]();
      return { tookMs, problems };
    },
  };
}
