import type { Measurement } from "../support/report.ts";
import { enterNamespaces } from "../tunnel/backend/rig.ts";
import { lines, runLinks } from "./support/link-run.ts";

const link: Measurement = {
  about:
    "a line that loses 1, 5 or 20 %, or takes no packet over 800 to 1400 bytes and does not say so: the tunnel carries on, and bills no more than it may",
  runs: 3,
  // it measures no time
  blocksLoop: true,
  run: async ({ runs, log, signal, recorded }) => {
    const reason = enterNamespaces(process.argv[1] ?? "");
    if (reason) throw new Error(reason);
    const { tried, problems, droppedLeast, allowanceMost } = await runLinks({ kinds: Object.keys(lines), runs, recorded, log, signal });
    return {
      runs: Object.values(tried).reduce((sum, count) => sum + count, 0),
      failures: problems.length,
      figures: [
        { name: "droppedLeast", value: droppedLeast, unit: "packets of a run", better: "higher", target: 1 },
        { name: "allowanceUsed", value: allowanceMost, unit: "of what may be billed beyond what was counted", better: "lower", target: 1 },
      ],
      tried,
    };
  },
};

export default link;
