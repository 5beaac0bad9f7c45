import type { Fault } from "../support/ledger-audit.ts";
import type { Measurement } from "../support/report.ts";
import { type Kill, runCrashes } from "./support/crash-run.ts";

const sides: Kill["victims"][] = [["payer"], ["exit"], ["payer"], ["exit"], ["payer", "exit"]];
const moments: Kill["during"][] = ["download", "start", "download", "connect", "download", "end", "start"];
/** a market is a fresh one after so many kills: what it has promised by then is held against its chain, and what came of it is recorded */
const perMarket = 25;

const crash: Measurement = {
  about: "kill -9 of consumer or exit at random points: nothing signed twice, nothing lost, everything cleared",
  runs: 1000,
  // it measures no time
  blocksLoop: true,
  run: async ({ runs, log, signal, recorded }) => {
    const kills = Array.from({ length: runs }, (_, i): Kill => {
      const [victims = ["exit"], during = "download"] = [sides[i % sides.length], moments[i % moments.length]];
      return { victims, during };
    });
    const markets = await recorded.each(`markets of ${perMarket} in ${runs}`, Math.ceil(runs / perMarket), signal, async (market) => {
      const chosen = kills.slice(market * perMarket, (market + 1) * perMarket);
      const { tried, faults, problems } = await runCrashes({ kills: chosen, log, signal });
      for (const line of [...problems, ...faults.map(({ kind, text }) => `${kind}: ${text}`)]) log(line);
      log(`market ${market + 1}: ${chosen.length} kills, ${faults.length + problems.length} things wrong`);
      return { tried, faults, problems };
    });
    const tried: Record<string, number> = {};
    for (const market of markets) for (const [kind, count] of Object.entries(market.tried)) tried[kind] = (tried[kind] ?? 0) + count;
    const faults = markets.flatMap((market) => market.faults);
    const none = (name: string, kind: Fault["kind"]) => ({
      ...{ name, value: faults.filter((fault) => fault.kind === kind).length },
      ...{ unit: "", better: "lower" as const, target: 0 },
    });
    return {
      runs: Object.values(tried).reduce((sum, count) => sum + count, 0),
      failures: faults.length + markets.flatMap(({ problems }) => problems).length,
      figures: [none("promisesLost", "promise lost"), none("signedTwice", "signed twice"), none("amountsFallen", "amount fell")],
      tried,
    };
  },
};

export default crash;
