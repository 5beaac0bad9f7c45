import { setTimeout as wait } from "node:timers/promises";
import { within } from "../../../../src/lib/lifecycle.ts";
import { startTrader } from "../../../net/discovery/market.ts";
import { ownTmpdir } from "../../../support/own-tmpdir.ts";
import { type PeersAnswer, startPeers } from "./peers.ts";

export type MarketFound = {
  /** ms from an exit's word to another peer's knowing it */
  published: number[];
  /** ms: of a peer that has just been started and is told of two others; and of one that has been there for a while */
  cold: number[];
  warm: number[];
  /** of one node, extrapolated from a while without anything else going on */
  bytesPerHour: number;
  /** of all, from their beginning to the end of that while */
  bytes: number;
  cpuSecondsPerHour: number;
};

const perProcess = 5;
const countries = ["US", "DE", "JP", "NL", "BR"];
const foundMs = 20_000;

/** Half of the nodes are exits; five in a process. */
export async function measureMarket(
  nodes: number,
  {
    tries,
    idleMs,
    settleMs = 15_000,
    signal,
    log,
  }: { tries: number; idleMs: number; settleMs?: number; signal: AbortSignal; log(line: string): void },
): Promise<MarketFound> {
  await using stack = new AsyncDisposableStack();
  stack.use(ownTmpdir("discovery"));
  const countryOf = (index: number) => countries[index % countries.length] as string;
  const groups: { group: ReturnType<typeof startPeers>; peers: PeersAnswer["peers"]; exits: number }[] = [];
  const bootstrap: string[] = [];
  for (let first = 0; first < nodes && !signal.aborted; first += perProcess) {
    const group = stack.use(startPeers());
    const places = Array.from({ length: Math.min(perProcess, nodes - first) }, (_, at) =>
      first + at < nodes / 2 ? countryOf(first + at) : undefined,
    );
    const { peers } = await group.ask({ type: "start", countries: places, bootstrap: [...bootstrap] });
    if (bootstrap.length === 0) bootstrap.push(...peers.slice(0, 3).map(({ invite }) => invite));
    groups.push({ group, peers, exits: places.filter((country) => country !== undefined).length });
  }
  await wait(settleMs, undefined, { signal }).catch(() => undefined);
  log(`${nodes} nodes are up`);

  const look = async (): Promise<Pick<PeersAnswer, "bytes" | "cpuMs">> => {
    const answers = await Promise.all(groups.map(({ group }) => group.ask({ type: "look" })));
    const sum = (of: (one: PeersAnswer) => number) => answers.reduce((total, one) => total + of(one), 0);
    return { bytes: sum(({ bytes }) => bytes), cpuMs: sum(({ cpuMs }) => cpuMs) };
  };
  const before = await look();
  await wait(idleMs, undefined, { signal }).catch(() => undefined);
  const after = await look();
  const perNodeHour = 3_600_000 / idleMs / nodes;

  await using seeker = await startTrader({ listen: [], bootstrap: bootstrap.slice(0, 2) });
  const find = async ({ discovery }: typeof seeker, index: number): Promise<number> => {
    const beganMs = performance.now();
    const found = await discovery.search({ country: countryOf(index) }, AbortSignal.timeout(foundMs));
    return found.length > 0 ? performance.now() - beganMs : Number.POSITIVE_INFINITY;
  };
  await find(seeker, 0);
  const [published, cold, warm]: [number[], number[], number[]] = [[], [], []];
  for (let at = 0; at < tries && !signal.aborted; at++) {
    const { group, peers, exits } = groups[at % Math.max(1, groups.filter((one) => one.exits > 0).length)] as (typeof groups)[0];
    const index = Math.floor(at / groups.length) % exits;
    const perGiB = 1_000n + BigInt(at);
    const heard = Promise.withResolvers<number>();
    const off = seeker.discovery.onOffer(({ offer }) => {
      if (offer.peer === peers[index]?.peer && offer.services[0]?.perGiB === perGiB) heard.resolve(Date.now());
    });
    const { atMs } = await group.ask({ type: "announce", index, country: countryOf(index), perGiB });
    const heardMs = within(heard.promise, foundMs, "PEER_TIMEOUT", "an offer").catch(() => Number.POSITIVE_INFINITY);
    published.push((await heardMs) - atMs);
    off();
    warm.push(await find(seeker, at));
    const shuffled = bootstrap.toSorted(() => Math.random() - 0.5).slice(0, 2);
    await using newcomer = await startTrader({ listen: [], bootstrap: shuffled });
    cold.push(await find(newcomer, at));
  }
  return {
    ...{ published, cold, warm, bytes: after.bytes },
    bytesPerHour: (after.bytes - before.bytes) * perNodeHour,
    cpuSecondsPerHour: ((after.cpuMs - before.cpuMs) / 1000) * perNodeHour,
  };
}
