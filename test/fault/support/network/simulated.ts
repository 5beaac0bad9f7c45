import type { Discovery, DiscoverySource } from "../../../../src/discovery/discovery.ts";
import type { Clock } from "../../../../src/lib/clock.ts";
import { deadline } from "../../../../src/lib/lifecycle.ts";
import type { Network } from "../../../../src/network/network.ts";
import { createVirtualClock } from "../../../support/simulation/clock.ts";
import { endSimTrader, type SimTrader, startSimTrader } from "../../../support/simulation/market.ts";
import { createSimNet } from "../../../support/simulation/net.ts";

export type Churn = {
  peers: number;
  exits: number;
  countries: string[];
  /** the share of all that is killed and replaced, and in how long */
  share: number;
  withinMs: number;
  tries: number;
  sources: DiscoverySource[];
};

/** Of each try, ms until an exit of the asked country was found that is alive; absent: none was within 20 s. */
export type Tried = { ms?: number };

const tryMs = 20_000;

const dialMs = 5_000;
const atOnce = 5;

/** Dials exits as they are found, some at a time, until one answers: that is found which is alive, whatever it costs. Whether one has. */
export async function findLiving(
  { discovery, network }: { discovery: Discovery; network: Network },
  country: string,
  clock: Clock,
  limit: AbortSignal,
): Promise<boolean> {
  const answered = new AbortController();
  const until = AbortSignal.any([limit, answered.signal]);
  const dialling = new Set<Promise<void>>();
  for await (const { offer } of discovery.find({ country }, until)) {
    const dial = network.connect(offer.peer, offer.addresses, deadline(dialMs, until, clock)).then(
      () => answered.abort(),
      () => undefined,
    );
    dialling.add(dial);
    void dial.then(() => dialling.delete(dial));
    if (dialling.size >= atOnce) await Promise.race(dialling);
  }
  return answered.signal.aborted;
}

/**
 * Tries of cold consumers, each of which knows two of three bootstrap peers, on a simulated network of which a share is killed without a word and replaced
 * meanwhile; in virtual time.
 */
export async function runSimulatedChurn(options: Churn, signal: AbortSignal, log: (line: string) => void): Promise<Tried[]> {
  const clock = createVirtualClock();
  const net = createSimNet(clock);
  const countryOf = (index: number) => options.countries[index % options.countries.length] as string;
  const bootstraps: SimTrader[] = [];
  for (let index = 0; index < 3; index++)
    bootstraps.push(await startSimTrader(net, clock, { bootstrap: bootstraps.flatMap(({ invite }) => invite ?? []) }));
  const invites = bootstraps.flatMap(({ invite }) => invite ?? []);
  const peers = new Set<SimTrader>();
  const add = async (country: string | undefined) =>
    void peers.add(await startSimTrader(net, clock, { bootstrap: invites, ...(country && { country }) }));
  for (let index = 0; index < options.peers - bootstraps.length && !signal.aborted; index++) {
    await add(index < options.exits ? countryOf(index) : undefined);
    await clock.pass(50);
  }
  await clock.pass(60_000);
  const replace = async () => {
    const all = [...peers];
    const victim = all[Math.floor(Math.random() * all.length)];
    if (!victim) return;
    net.kill(victim.identity.peerId);
    peers.delete(victim);
    void endSimTrader(victim);
    await add(victim.country);
  };

  const tries: Promise<Tried>[] = [];
  const tryOnce = async (): Promise<Tried> => {
    const bootstrap = invites.toSorted(() => Math.random() - 0.5).slice(0, 2);
    const consumer = await startSimTrader(net, clock, { listens: false, bootstrap, sources: options.sources });
    const beganMs = clock.nowMs();
    const limit = clock.timeout(tryMs);
    const found = await findLiving(consumer, countryOf(Math.floor(Math.random() * options.countries.length)), clock, limit);
    const ms = found ? clock.nowMs() - beganMs : undefined;
    net.kill(consumer.identity.peerId);
    void endSimTrader(consumer);
    return ms === undefined ? {} : { ms };
  };
  // in bunches, for whoever looks makes all exits speak
  const bunches = Math.max(1, Math.min(options.tries, Math.round(options.withinMs / 30_000)));
  const replaced = Math.round(options.share * options.peers);
  for (let bunch = 0; bunch < bunches && !signal.aborted; bunch++) {
    for (let index = 0; index < Math.ceil(replaced / bunches); index++) {
      await replace();
      await clock.pass(options.withinMs / Math.max(1, replaced));
    }
    const count = Math.ceil(options.tries / bunches);
    const some = Array.from({ length: count }, tryOnce);
    tries.push(...some);
    await clock.until(Promise.all(some), 2 * tryMs);
    log(`${tries.length} of ${options.tries} tries by ${options.sources.join(", ")} among ${peers.size} simulated peers`);
  }
  const found = await Promise.all(tries);
  for (const peer of [...peers, ...bootstraps]) {
    net.kill(peer.identity.peerId);
    void endSimTrader(peer);
  }
  await clock.pass(30_000);
  return found;
}
