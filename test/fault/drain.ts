import type { Measurement } from "../support/report.ts";
import { runDrain } from "./support/drain/run.ts";

const drain: Measurement = {
  about:
    "a payer that promises its deposit to 20 exits and then drains it to itself, on anvil, --runs of each plan: it gains less than it loses",
  runs: 10,
  // it measures no time
  blocksLoop: true,
  run: async (options) => {
    const { tried, drained, controls, problems } = await runDrain(options);
    for (const problem of problems) options.log(problem);
    const all = Object.values(drained).flat();
    const most = Math.max(0, ...all.map(({ gain }) => gain)) / 1_000;
    const least = Math.min(1_000, ...all.map(({ lost }) => lost)) / 1_000;
    const control = Math.min(...Object.values(controls).map(({ gain, lost }) => gain - lost)) / 1_000;
    return {
      runs: all.length,
      failures: problems.length,
      figures: [
        {
          ...{ name: "gain", value: most, unit: "of the bond at most, unpaid at its end", target: 0.728, better: "lower" },
          beside: { name: "least burned", value: least },
        },
        {
          name: "controlGain",
          value: control,
          unit: "of the bond at least, beyond what is lost, without the limits",
          target: 0,
          better: "higher",
        },
      ],
      tried,
    };
  },
};

export default drain;
