import type { Measurement } from "../support/report.ts";
import { runChain } from "./support/chain/run.ts";

const chain: Measurement = {
  about: "reorganisations, dead and lying RPCs, dear gas, closes and a frozen token, --runs of each: all is paid in time, and once",
  runs: 50,
  // it measures no time
  blocksLoop: true,
  run: async ({ runs, log, signal, recorded }) => {
    const { tried, problems, controls } = await runChain({ runs, log, signal, recorded });
    for (const problem of problems) log(problem);
    const count = (text: string) => problems.filter((problem) => problem.includes(text)).length;
    const none = (name: string, value: number) => ({ name, value, unit: "", better: "lower" as const, target: 0 });
    return {
      runs: Object.values(tried).reduce((sum, runs) => sum + runs, 0),
      failures: problems.length,
      figures: [
        none("deadlinesMissed", count("deadline")),
        none("lost", count("lost")),
        none("paidTwice", count("has got")),
        {
          ...{ name: "controlsThatLose", value: Object.values(controls).filter((lost) => lost.length > 0).length, unit: "" },
          ...{ better: "higher" as const, target: Object.keys(controls).length },
        },
      ],
      tried,
    };
  },
};

export default chain;
