import type { Measurement } from "../support/report.ts";
import { enterNamespaces } from "../tunnel/backend/rig.ts";
import { happenings, runLeaks } from "./support/leak-run.ts";

const leak: Measurement = {
  about: "in each state of the tunnel, and whatever is killed, flushed, pushed or changed: no packet of the consumer leaves outside of it",
  runs: 10,
  // it measures no time of its own
  blocksLoop: true,
  run: async ({ runs, log, signal, recorded }) => {
    const reason = enterNamespaces(process.argv[1] ?? "");
    if (reason) throw new Error(reason);
    const { tried, leaked, problems, unguarded, inside, mendedMs } = await runLeaks({
      ...{ kinds: Object.keys(happenings), runs, recorded, log, signal },
    });
    return {
      runs: Object.values(tried).reduce((sum, count) => sum + count, 0),
      failures: problems.length,
      figures: [
        { name: "packetsOutside", value: leaked, unit: "", better: "lower", target: 0 },
        { name: "packetsAllowed", value: inside, unit: "", better: "higher", target: 1 },
        { name: "unguardedSeenLeast", value: unguarded, unit: "of a kind of probe", better: "higher", target: 1 },
        { name: "mendedMs", value: Math.round(mendedMs), unit: "ms at most", better: "lower", target: 1000 },
      ],
      tried,
    };
  },
};

export default leak;
