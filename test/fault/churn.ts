import type { Measurement } from "../support/report.ts";
import { enterNamespaces } from "../tunnel/backend/rig.ts";
import { runChurn, slopeOf } from "./support/churn/run.ts";

/** A record of a session takes so much at most, and a thousand of them are kept. */
const flatBytes = 2_048;

const churn: Measurement = {
  about: "sessions are opened and closed: no peer, address, route, rule, conntrack entry, socket or process is left, and no heap grows",
  runs: 1_000,
  // what is asked of the hosts blocks it
  blocksLoop: true,
  run: async ({ runs, log, signal }) => {
    const reason = enterNamespaces(process.argv[1] ?? "");
    if (reason) throw new Error(reason);
    const { sessions, left, seenOpen, heaps, every, problems } = await runChurn({ runs, log, signal });
    for (const problem of [...problems, ...left]) log(problem);
    const slope = (name: "exit" | "consumer") => ({
      name: `${name}HeapSlope`,
      value: Math.round(slopeOf(heaps[name], every)),
      unit: "bytes a session, last half",
      better: "lower" as const,
      // a few looks say nothing
      ...(heaps[name].length >= 20 && { target: flatBytes }),
    });
    return {
      runs: sessions,
      failures: problems.length,
      figures: [
        { name: "kindsLeft", value: left.length, unit: "of what a session brings", better: "lower", target: 0 },
        { name: "kindsSeenOpen", value: Object.keys(seenOpen).length, unit: "of what a session brings", better: "higher", target: 10 },
        slope("exit"),
        slope("consumer"),
      ],
      tried: { sessions },
    };
  },
};

export default churn;
