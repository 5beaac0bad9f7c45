import type { Measurement } from "../support/report.ts";
import { enterNamespaces } from "../tunnel/backend/rig.ts";
import { runLeaks, victims } from "./support/leak-run.ts";

const leak: Measurement = {
  about: "kill -9 of tunnel process, node, helper or exit at random moments: no packet of the consumer leaves outside of the tunnel",
  runs: 60,
  // it measures no time
  blocksLoop: true,
  run: async ({ runs, log, signal }) => {
    const reason = enterNamespaces(process.argv[1] ?? "");
    if (reason) throw new Error(reason);
    const kills = Array.from({ length: runs }, (_, i) => victims[i % victims.length] ?? "tunnel");
    const { tried, leaked, problems, unguarded, inside } = await runLeaks({ kills, log, signal });
    const least = Math.min(...Object.values(unguarded));
    return {
      runs: Object.values(tried).reduce((sum, count) => sum + count, 0),
      failures: problems.length,
      figures: [
        { name: "packetsOutside", value: leaked, unit: "", better: "lower", target: 0 },
        { name: "packetsAllowed", value: inside, unit: "", better: "higher", target: 1 },
        { name: "unguardedSeenLeast", value: least, unit: "of a kind of probe", better: "higher", target: 1 },
      ],
      tried,
    };
  },
};

export default leak;
