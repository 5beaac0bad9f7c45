import { allSources, type DiscoverySource } from "../../src/discovery/discovery.ts";
import { inTime, voidDelayMs } from "../support/lateness.ts";
import { type Figure, type Measurement, percentile } from "../support/report.ts";
import { runRealChurn } from "./support/network/real.ts";
import { type Churn, runSimulatedChurn, type Tried } from "./support/network/simulated.ts";

/** cold consumers remember nothing: what they have are these, and each but one */
const cold: DiscoverySource[] = ["gossip", "snapshot", "dht"];
export const choices: { name: string; sources: DiscoverySource[] }[] = [
  { name: "", sources: allSources },
  ...cold.map((without) => ({
    name: `Without${without[0]?.toUpperCase()}${without.slice(1)}`,
    sources: cold.filter((one) => one !== without),
  })),
];
const countries = ["US", "DE", "JP", "NL", "BR"];
/** how often a part is done in all where the machine was too busy */
const times = 3;

const figuresOf = (name: string, tried: Tried[]): Figure[] => {
  const ms = tried.map((one) => one.ms ?? Number.POSITIVE_INFINITY);
  const share = ms.filter((one) => Number.isFinite(one)).length / ms.length;
  return [
    { name: `foundShare${name}`, value: share, unit: "", better: "higher", target: 0.99 },
    { name: `findP50Ms${name}`, value: percentile(ms, 0.5), unit: "ms", better: "lower" },
    { name: `findP95Ms${name}`, value: percentile(ms, 0.95), unit: "ms", better: "lower", target: 1_000 },
  ];
};

const network: Measurement = {
  about:
    "30 % of a network killed and replaced within 5 min: a cold consumer finds an exit of its country, by all ways and without each; 50 real peers, 1,000 simulated",
  runs: 1_000,
  // the simulated parts, in virtual time; each real one sees to that by itself
  blocksLoop: true,
  run: async ({ runs, log, signal, recorded }) => {
    const figures: Figure[] = [];
    const triedInAll: Record<string, number> = {};
    const each = Math.max(1, Math.round(runs / (2 * choices.length)));
    const common = { countries, share: 0.3, withinMs: 300_000, tries: each };
    const add = (kind: string, name: string, found: Tried[]) => {
      figures.push(...figuresOf(`${kind}${name}`, found));
      triedInAll[`${kind.toLowerCase()}${name}`] = found.length;
    };
    for (const { name, sources } of choices) {
      const options: Churn = { ...common, sources, peers: 50, exits: 25 };
      const churn = (ready: () => void) => runRealChurn(options, signal, log, ready);
      const [done] = await recorded.each(`real${name}`, 1, signal, () => inTime(times, churn, { log, signal }));
      if (!done) continue;
      add("Real", name, done.result);
      figures.push({ name: `loopDelayMs${name}`, value: done.delayMs, unit: "ms", better: "lower", target: voidDelayMs });
    }
    for (const { name, sources } of choices) {
      const options: Churn = { ...common, sources, peers: 1_000, exits: 100 };
      const [found] = await recorded.each(`simulated${name}`, 1, signal, () => runSimulatedChurn(options, signal, log));
      if (found) add("Simulated", name, found);
    }
    const total = Object.values(triedInAll).reduce((sum, count) => sum + count, 0);
    return { runs: total, failures: 0, figures, tried: triedInAll };
  },
};

export default network;
