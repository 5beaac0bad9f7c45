import { type Measurement, percentile } from "../support/report.ts";
import { type AloneFound, buyAlone, clears, enough, openAlone, stranger } from "./support/alone.ts";

const alone: Measurement = {
  about:
    "bootstrap peer, chain and all others gone: a node that ran before finds an exit by what it remembers, carries, pays; clearing follows when the chain is back",
  runs: 20,
  run: async ({ runs, log, ready, signal }) => {
    await using market = await openAlone();
    ready();
    const found: AloneFound[] = [];
    const problems: string[] = [];
    for (let run = 0; run < runs && !signal.aborted; run++)
      try {
        const one = await buyAlone(market, run % 2 === 0 ? "kill" : "stop");
        found.push(one);
        if (!enough(one)) problems.push(`${one.bytes} bytes came, ${one.paid} was paid`);
      } catch (error) {
        problems.push(String(error));
      }
    // whoever remembers nobody finds nobody, or somebody was still there to tell
    const strangers = await stranger(market);
    const isCleared = await clears(market);
    for (const problem of problems) log(problem);
    const ms = found.map((one) => one.ms);
    return {
      runs,
      failures: problems.length,
      figures: [
        { name: "connectedShare", value: found.filter(enough).length / runs, unit: "", better: "higher", target: 1 },
        { name: "exitsStrangerFinds", value: strangers, unit: "", better: "lower", target: 0 },
        { name: "clearedAfterwards", value: Number(isCleared), unit: "", better: "higher", target: 1 },
        { name: "connectP50Ms", value: percentile(ms, 0.5), unit: "ms", better: "lower" },
        { name: "connectP95Ms", value: percentile(ms, 0.95), unit: "ms", better: "lower" },
      ],
      tried: { lives: found.length + problems.length },
    };
  },
};

export default alone;
