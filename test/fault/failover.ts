import { type Measurement, percentile } from "../support/report.ts";
import { enterNamespaces } from "../tunnel/backend/rig.ts";
import { ways } from "./support/failover/kills.ts";
import { type FailoverRig, type Outcome, openFailoverRig } from "./support/failover/run.ts";

const failover: Measurement = {
  about:
    "an exit that is killed, cut off, stopped, or loses its tunnel in mid-session: another takes over, and nothing leaves outside of a tunnel",
  runs: 40,
  // it measures no time of its own event loop
  blocksLoop: true,
  run: async ({ runs, log, signal, recorded }) => {
    const reason = enterNamespaces(process.argv[1] ?? "");
    if (reason) throw new Error(reason);
    await using undo = new AsyncDisposableStack();
    let rig: FailoverRig | undefined;
    const opened = async () => {
      rig ??= undo.use(await openFailoverRig(3, log));
      return rig;
    };
    const outcomes: Outcome[] = await recorded.each("failover", runs, signal, async (run) => {
      const outcome = await (await opened()).go(ways[run % ways.length] ?? "all");
      log(`run ${run + 1} of ${runs}: ${lineOf(outcome)}`);
      return outcome;
    });
    const [off] = await recorded.each("off", 1, signal, async () => (await opened()).off());
    const slow = await recorded.each("slow", Math.ceil(runs / 10), signal, async (run) => {
      const ms = await (await opened()).spoil().catch((error) => {
        log(String(error));
        return Number.POSITIVE_INFINITY;
      });
      log(`far slower, ${run + 1}: taken over after ${Math.round(ms)} ms`);
      return ms;
    });
    const moves = await recorded.each("moved", Math.ceil(runs / 10), signal, async (run) => {
      const moved = await (await opened()).move();
      log(`own address changed, ${run + 1}: nothing for ${Math.round(moved.outageMs)} ms; ${moved.leaked} packets outside`);
      return moved;
    });
    const [unguarded] = await recorded.each("unguarded", 1, signal, async () => (await opened()).unguarded);
    const outages = outcomes.map(({ outageMs }) => outageMs);
    const failures = outcomes.flatMap(({ problems }) => problems).length + (off && off.pages === 0 ? 0 : 1);
    return {
      runs: outcomes.length,
      failures,
      figures: [
        { name: "p95Ms", value: percentile(outages, 0.95), unit: "ms", better: "lower", target: 5_000 },
        { name: "p50Ms", value: percentile(outages, 0.5), unit: "ms", better: "lower" },
        ...ways.map((way) => ({
          ...{ name: `${way}P50Ms`, unit: "ms", better: "lower" as const },
          value: percentile(
            outcomes.filter((one) => one.way === way).map(({ outageMs }) => outageMs),
            0.5,
          ),
        })),
        {
          name: "leakedPackets",
          value: sum([...outcomes, ...moves].map(({ leaked }) => leaked)) + (off?.leaked ?? 0),
          unit: "",
          better: "lower",
          target: 0,
        },
        { name: "packetsAllowed", value: sum(outcomes.map(({ inside }) => inside)), unit: "", better: "higher", target: 1 },
        { name: "unguardedSeenLeast", value: unguarded ?? Number.NaN, unit: "of a kind of probe", better: "higher", target: 1 },
        { name: "movedMostMs", value: Math.max(...moves.map(({ outageMs }) => outageMs)), unit: "ms", better: "lower", target: 5_000 },
        { name: "unservedQuantaMost", value: Math.max(...outcomes.map(({ quanta }) => quanta)), unit: "", better: "lower", target: 1 },
        { name: "pagesWithoutFailover", value: off?.pages ?? Number.NaN, unit: "", better: "lower", target: 0 },
      ],
      tried: {
        ...Object.fromEntries(ways.map((way) => [way, outcomes.filter((one) => one.way === way).length])),
        slow: slow.length,
        moved: moves.length,
      },
    };
  },
};

const sum = (values: number[]): number => values.reduce((a, b) => a + b, 0);

export const lineOf = ({ way, outageMs, switchedMs, leaked, quanta, problems }: Outcome): string =>
  [
    `${way}: nothing for ${Math.round(outageMs)} ms, taken over after ${Math.round(switchedMs)} ms`,
    `${leaked} packets outside, ${quanta.toFixed(2)} quanta unserved`,
    ...problems,
  ].join("; ");

export default failover;
