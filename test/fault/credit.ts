import type { Measurement } from "../support/report.ts";
import { enterNamespaces } from "../tunnel/backend/rig.ts";
import { allowance, runCredit, stopped } from "./support/credit-run.ts";

const credit: Measurement = {
  about: "a consumer's or an exit's node stands still (SIGSTOP): the tunnel carries what was prepaid, and nothing more",
  runs: 20,
  // it measures no time
  blocksLoop: true,
  run: async ({ runs, log, signal }) => {
    const reason = enterNamespaces(process.argv[1] ?? "");
    if (reason) throw new Error(reason);
    const stops = Array.from({ length: runs }, (_, i) => stopped[i % stopped.length] ?? "exit");
    const { tried, over, overWhenRaised, problems } = await runCredit({ stops, log, signal });
    return {
      runs: Object.values(tried).reduce((sum, count) => sum + count, 0),
      failures: problems.length,
      figures: [
        { name: "bytesOver", value: over, unit: "bytes", better: "lower", target: allowance },
        { name: "bytesOverWhenRaised", value: overWhenRaised, unit: "bytes", better: "higher", target: allowance + 1 },
      ],
      tried,
    };
  },
};

export default credit;
