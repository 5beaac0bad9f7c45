import type { Measurement } from "../support/report.ts";
import { enterNamespaces } from "../tunnel/backend/rig.ts";
import { seenWithoutDefences } from "./support/disk/control.ts";
import { plan, runDisk } from "./support/disk/run.ts";

const disk: Measurement = {
  about:
    "a database torn, flipped, gone, restored, full or read-only, of payer and exit: it starts or says why not, never signs below, loses nothing silently",
  runs: 200,
  // it measures no time
  blocksLoop: true,
  run: async ({ runs, log, signal, recorded }) => {
    // a disk of one's own that is full takes a mount namespace
    const reason = enterNamespaces(process.argv[1] ?? "");
    if (reason) log(`${reason}: files that may not grow in the place of a full disk`);
    const seen = await seenWithoutDefences();
    const blind = Object.entries(seen).filter(([, wrong]) => wrong.length === 0);
    for (const [what] of blind) log(`without a defence nobody would see that one ${what}`);
    const found = await runDisk({ runs: Array.from({ length: runs }, (_, run) => plan(run)), walled: !reason, log, signal, recorded });
    const problems = found.flatMap((one) => one.problems);
    const count = (words: RegExp) => problems.filter((problem) => words.test(problem)).length;
    const none = (name: string, value: number) => ({ name, value, unit: "", better: "lower" as const, target: 0 });
    const tried: Record<string, number> = {};
    for (const { kind, ending } of found) tried[`${kind}: ${ending}`] = (tried[`${kind}: ${ending}`] ?? 0) + 1;
    return {
      runs: found.length,
      failures: problems.length + blind.length,
      figures: [
        none("signedBelow", count(/signed twice|amount fell|were signed|pays from an older/)),
        none("lostSilently", count(/lost/)),
        none("refusedWithoutWord", count(/^it (ended|told|does not know)/)),
        {
          ...{ name: "controlsSeen", value: Object.keys(seen).length - blind.length, unit: "" },
          ...{ better: "higher" as const, target: Object.keys(seen).length },
        },
      ],
      tried,
    };
  },
};

export default disk;
