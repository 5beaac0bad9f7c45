import type { Fault } from "../support/ledger-audit.ts";
import type { Measurement } from "../support/report.ts";
import { type Kill, runCrashes } from "./support/crash-run.ts";

const sides: Kill["victims"][] = [["payer"], ["exit"], ["payer"], ["exit"], ["payer", "exit"]];
const moments: Kill["during"][] = ["download", "start", "download", "connect", "download", "end", "start"];
/** a market is a fresh one after so many kills: what it has promised by then is held against its chain */
const perMarket = 100;

const crash: Measurement = {
  about: "kill -9 of consumer or exit at random points: nothing signed twice, nothing lost, everything cleared",
  runs: 1000,
  // it measures no time
  blocksLoop: true,
  run: async ({ runs, log, signal }) => {
    const kills = Array.from({ length: runs }, (_, i): Kill => {
      const [victims = ["exit"], during = "download"] = [sides[i % sides.length], moments[i % moments.length]];
      return { victims, during };
    });
    const tried: Record<string, number> = {};
    const faults: Fault[] = [];
    let failures = 0;
    for (let i = 0; i < runs && !signal.aborted; i += perMarket) {
      const found = await runCrashes({ kills: kills.slice(i, i + perMarket), log, signal });
      for (const [kind, count] of Object.entries(found.tried)) tried[kind] = (tried[kind] ?? 0) + count;
      faults.push(...found.faults);
      failures += found.faults.length + found.problems.length;
      for (const line of [...found.problems, ...found.faults.map(({ kind, text }) => `${kind}: ${text}`)]) log(line);
    }
    const none = (name: string, kind: Fault["kind"]) => ({
      ...{ name, value: faults.filter((fault) => fault.kind === kind).length },
      ...{ unit: "", better: "lower" as const, target: 0 },
    });
    return {
      runs: Object.values(tried).reduce((sum, count) => sum + count, 0),
      failures,
      figures: [none("promisesLost", "promise lost"), none("signedTwice", "signed twice"), none("amountsFallen", "amount fell")],
      tried,
    };
  },
};

export default crash;
