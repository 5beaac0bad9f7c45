import { readFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { openMarket } from "../fault/support/market.ts";
import { type Figure, type Measurement, percentile } from "../support/report.ts";
import { type MarketFound, measureMarket } from "./support/discovery/market.ts";
import { measureSnapshot } from "./support/discovery/snapshot.ts";

const sizes = [10, 25, 50];
const idleMs = 120_000;
const calmMs = 20_000;

/** Of a node as people run it that has nothing to do: its process alone, MB. */
async function rssOfIdleNode(): Promise<number> {
  await using market = await openMarket({ payers: 0 });
  await market.exit.start();
  await wait(calmMs);
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${market.exit.process().pid}/status`, "utf8"))?.[1] ?? Number.NaN) / 1024;
}

const discovery: Measurement = {
  about:
    "from an exit's word to a finder's knowing, cold and warm look-ups, a snapshot of 1,000 offers; what a node costs, among 10, 25 and 50",
  runs: 30,
  run: async ({ runs, log, ready, signal }) => {
    const figures: Figure[] = [];
    const ms = (name: string, value: number, target?: number): Figure => ({
      ...{ name, value, unit: "ms", better: "lower" },
      ...(target !== undefined && { target }),
    });
    const { pulled, checked } = await measureSnapshot(1_000, 5);
    figures.push({
      ...ms("snapshot1000Ms", percentile(pulled, 0.5), 150),
      beside: { name: "checking them alone", value: percentile(checked, 0.5) },
    });
    const rssMb = await rssOfIdleNode();
    figures.push({ name: "rssMb", value: rssMb, unit: "MB", better: "lower", target: 120 });
    log(`a snapshot takes ${Math.round(percentile(pulled, 0.5))} ms, an idle node ${Math.round(rssMb)} MB`);
    ready();
    const found = new Map<number, MarketFound>();
    for (const nodes of sizes) {
      if (signal.aborted) break;
      found.set(nodes, await measureMarket(nodes, { tries: runs, idleMs, signal, log }));
    }
    for (const [nodes, one] of found) {
      const name = nodes === sizes.at(-1) ? "" : `Of${nodes}`;
      figures.push(
        ms(`publishedToFoundP95Ms${name}`, percentile(one.published, 0.95), 1_000),
        ms(`coldFindP95Ms${name}`, percentile(one.cold, 0.95)),
        ms(`warmFindP95Ms${name}`, percentile(one.warm, 0.95)),
        { name: `bytesPerNodeHour${name}`, value: one.bytesPerHour, unit: "bytes", better: "lower" },
        { name: `cpuSecondsPerNodeHour${name}`, value: one.cpuSecondsPerHour, unit: "s", better: "lower" },
      );
    }
    return { runs: runs * found.size, failures: 0, figures, tried: { snapshots: pulled.length, searches: 2 * runs * found.size } };
  },
};

export default discovery;
