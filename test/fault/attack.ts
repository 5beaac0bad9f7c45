import type { Measurement } from "../support/report.ts";
import { attackInProcess, attackLive, together } from "./support/attack/run.ts";

const attack: Measurement = {
  about:
    "--runs of each fraud through a live exit's streams, a hundred times as many in all in this process: none accepted, no gain over the bound",
  runs: 1_000,
  // it signs and checks as fast as it can
  blocksLoop: true,
  run: async ({ runs, log, signal, recorded }) => {
    const options = { live: runs, fuzzed: 5 * runs, lanes: 16, log, signal, recorded };
    const fuzzed = await attackInProcess(options);
    const found = signal.aborted ? fuzzed : together(fuzzed, await attackLive(options));
    for (const line of [...found.accepted.slice(0, 20), ...found.problems]) log(line);
    const tried = Object.entries(found.tried).flatMap(([kind, { live, fuzzed }]) => [
      [`${kind}, live`, live],
      [`${kind}, fuzzed`, fuzzed],
    ]);
    const seen = Object.values(found.controls).filter((count) => count > 0).length;
    return {
      runs: Object.values(found.tried).reduce((sum, { live, fuzzed }) => sum + live + fuzzed, 0),
      failures: found.problems.length,
      figures: [
        { name: "accepted", value: found.accepted.length, unit: "", better: "lower", target: 0 },
        { name: "gainOverBound", value: Number(found.gainOverBound), unit: "base units", better: "lower", target: 0 },
        { name: "controlsTakenIn", value: seen, unit: "", better: "higher", target: Object.keys(found.controls).length },
        { name: "honestP99Ms", value: found.honest.p99Ms, unit: "ms", better: "lower" },
        { name: "honestPromises", value: found.honest.promises, unit: "", better: "higher", target: 1 },
        { name: "growthMb", value: found.growth.mib, unit: "MiB of memory held", better: "lower", target: 50 },
        { name: "rssGrowthMb", value: found.growth.rssMib, unit: "MiB", better: "lower" },
        { name: "handlesLeft", value: found.growth.handles, unit: "", better: "lower", target: 10 },
      ],
      tried: Object.fromEntries(tried),
    };
  },
};

export default attack;
