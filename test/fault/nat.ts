import { type Measurement, percentile } from "../support/report.ts";
import { enterNamespaces } from "../tunnel/backend/rig.ts";
import { natKinds } from "../tunnel/support/nat.ts";
import { canPunch, type Grid, type Met, noRelay, openGrid, type Pair } from "./support/nat/grid.ts";

const pairs: Pair[] = natKinds.flatMap((exit) => natKinds.map((consumer) => ({ consumer, exit })));
const hopeless: Pair = { consumer: "symmetric", exit: "symmetric" };
const cones: Pair = { consumer: "port-restricted", exit: "port-restricted" };

const nat: Measurement = {
  about: "consumers and exits behind NAT of each kind: every pair connects, and goes direct wherever packets of both can meet",
  runs: 1,
  // it measures no time of its own event loop
  blocksLoop: true,
  run: async ({ runs, log, signal, recorded }) => {
    const reason = enterNamespaces(process.argv[1] ?? "");
    if (reason) throw new Error(reason);
    await using undo = new AsyncDisposableStack();
    let grid: Grid | undefined;
    const opened = async () => {
      grid ??= undo.use(await openGrid(natKinds, natKinds));
      return grid;
    };
    // each NAT is what it is called, as its packets show
    const kinds = await recorded.each("kinds", natKinds.length, signal, async (index) => {
      const kind = natKinds[index] ?? "none";
      const found = [await (await opened()).kindOf("consumer", kind), await (await opened()).kindOf("exit", kind)];
      log(`${kind}: ${found.join(", ")}`);
      return found.every((one) => one === kind);
    });
    const meet = async (pair: Pair, args?: string[]) => {
      const met = await (await opened()).meet(pair, args);
      log(lineOf(met));
      return met;
    };
    const both = await recorded.each("pair", runs * pairs.length, signal, async (run) => {
      const pair = pairs[run % pairs.length] as Pair;
      const first = await meet(pair);
      // on a busy machine a peer may not answer in time; what is a way or none stays so
      return first.way === "none" ? { again: true, met: await meet(pair) } : { again: false, met: first };
    });
    const met: Met[] = both.map((one) => one.met);
    // without the means they do not
    const [alone] = await recorded.each("no relay", 1, signal, () => meet(hopeless, noRelay));
    const [unseen] = await recorded.each("unseen", 1, signal, async () => {
      await (await opened()).withoutRelays();
      return meet(cones);
    });
    const count = (way: Met["way"]) => met.filter((one) => one.way === way).length;
    const share = (way: Met["way"]) => ({ name: `${way}Share`, value: count(way) / met.length, unit: "", better: "higher" as const });
    const apart = met.filter(({ way, page }) => way === "none" || !page);
    const astray = met.filter((one) => canPunch(one) && one.way === "relayed");
    return {
      runs: met.length,
      failures: apart.length + astray.length,
      figures: [
        { name: "connected", value: 1 - apart.length / met.length, unit: "", better: "higher", target: 1 },
        { name: "relayedThoughPunchable", value: astray.length, unit: "", better: "lower", target: 0 },
        share("direct"),
        share("punched"),
        share("relayed"),
        { name: "kindsProven", value: kinds.filter(Boolean).length / natKinds.length, unit: "", better: "higher", target: 1 },
        {
          name: "connectedWithoutMeans",
          value: [alone, unseen].filter((one) => one?.way !== "none").length,
          unit: "",
          better: "lower",
          target: 0,
        },
        { name: "triedAgain", value: both.filter(({ again }) => again).length, unit: "", better: "lower" },
        { name: "punchedP50Ms", value: median(met, "punched"), unit: "ms", better: "lower" },
        { name: "relayedP50Ms", value: median(met, "relayed"), unit: "ms", better: "lower" },
      ],
      tried: { pairs: met.length, kinds: kinds.length, controls: [alone, unseen].filter(Boolean).length },
    };
  },
};

const median = (met: Met[], way: Met["way"]): number =>
  percentile(
    met.filter((one) => one.way === way).map(({ ms }) => ms),
    0.5,
  );

const lineOf = ({ consumer, exit, way, page, ms, why }: Met): string =>
  `${consumer} - ${exit}: ${way}${page ? "" : ", no page"}, ${Math.round(ms)} ms${why === undefined ? "" : `: ${why.slice(-300)}`}`;

export default nat;
