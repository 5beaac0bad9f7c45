import { quantumMoney } from "../../src/payments/quantum.ts";
import { prices, type SimulatedDownload, type SimulatedLine, simulateDownload } from "../support/line-simulation.ts";
import type { Measurement } from "../support/report.ts";

const rates = [10, 100, 300, 1_000];
const roundTrips = [5, 20, 80, 200];
/** what an exit takes to decide: a disk that is idle, one that is busy, one that jitters between them */
const decisions: Record<string, (draw: () => number) => number> = {
  "2 ms": () => 2,
  "20 ms": () => 20,
  "2 to 60 ms": (draw) => 2 + 58 * draw(),
};
const forMs = 30_000;
const myst = 10n ** 18n;
/** the least bond of a network by default, among so many exits */
const usual = { bond: myst, exits: 50, channels: 1 };
/** bonds in hundredths of a token, of which the least is looked for that holds up nothing */
const bonds = [25n, 40n, 50n, 60n, 65n, 70n, 75n, 80n, 90n, 100n];

/** Numbers from 0 to below 1, the same each time. */
const draws = () => {
  let seed = 7;
  return () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed / 2_147_483_648;
  };
};

const quantum: Measurement = {
  about: `whether payment holds up a fast line, at a bond of 1 among 50 exits, in simulated time: ${rates.join(", ")} Mbit/s at ${roundTrips.join(", ")} ms there and back, ${forMs / 1000} s each`,
  runs: 1,
  blocksLoop: true,
  run: async ({ log, signal }) => {
    const lines = rates.flatMap((rate) => roundTrips.map((rttMs) => ({ rate: rate * 1e6, rttMs })));
    const found: (SimulatedDownload & Pick<SimulatedLine, "rate" | "rttMs">)[] = [];
    let over = 0;
    for (const line of lines)
      for (const [name, take] of Object.entries(decisions)) {
        if (signal.aborted) break;
        const draw = draws();
        const result = simulateDownload({ ...line, decideMs: () => take(draw), forMs, unseen: usual });
        if (result.mostAhead > result.terms.quantum) over += 1;
        found.push({ ...line, ...result });
        const { share, steadyShare, rampMs, promisesPerSecond, headsPerSecond } = result;
        log(
          `${line.rate / 1e6} Mbit/s, ${line.rttMs} ms, decided in ${name}: ${share.toFixed(3)} of the line, ${steadyShare.toFixed(3)} after 3 s, ` +
            `reached after ${rampMs} ms, ${promisesPerSecond.toFixed(1)} promises/s, ${headsPerSecond.toFixed(2)} heads/s`,
        );
      }
    const fastest = { rate: 1e9, rttMs: 20, decideMs: () => 20, forMs: 5_000 };
    const fixed = simulateDownload({ ...fastest, quantum: quantumMoney(prices, 0n) }).steadyShare;
    /** at 1 Gbit/s, whatever the round trip */
    const worstOf = (unseen: SimulatedLine["unseen"]) =>
      Math.min(
        ...roundTrips.map(
          (rttMs) => simulateDownload({ rate: 1e9, rttMs, decideMs: () => 20, forMs: 12_000, ...(unseen && { unseen }) }).steadyShare,
        ),
      );
    const leastBond = bonds.find((bond) => worstOf({ ...usual, bond: (bond * myst) / 100n }) >= 0.95) ?? 0n;
    log(`1 Gbit/s at 0.1 per GiB takes a bond of ${Number(leastBond) / 100}; with k channels in use k^2 times as much`);
    const ramp = (rate: number, rttMs: number) =>
      Math.max(...found.filter((one) => one.rate === rate && one.rttMs === rttMs).map((one) => one.rampMs ?? forMs));
    const bare = { name: "1 MiB always, 1 Gbit/s at 20 ms", value: fixed };
    return {
      runs: found.length,
      failures: over,
      figures: [
        {
          ...{ name: "leastShare", value: Math.min(...found.map((one) => one.steadyShare)), unit: "of the bare line after 3 s" },
          ...{ target: 0.95, better: "higher", beside: bare },
        },
        {
          ...{ name: "promisesPerSecond", value: Math.max(...found.map((one) => one.promisesPerSecond)), unit: "promises/s at most" },
          ...{ target: 10, better: "lower" },
        },
        {
          name: "leastBond",
          value: Number(leastBond) / 100,
          unit: "of bond hold up no 1 Gbit/s at 0.1 per GiB",
          target: 1,
          better: "lower",
        },
        {
          ...{ name: "twoExits", value: worstOf({ ...usual, channels: 2 }), unit: "of 1 Gbit/s at a bond of 1 with two exits in 10 min" },
          ...{ better: "higher", beside: { name: "a bond of 3", value: worstOf({ ...usual, channels: 2, bond: 3n * myst }) } },
        },
        { name: "overQuantum", value: over, unit: "lines that ever held more than the terms' quantum", target: 0, better: "lower" },
        { name: "ramp300at20Ms", value: ramp(300e6, 20), unit: "ms until 300 Mbit/s", better: "lower" },
        { name: "ramp300at200Ms", value: ramp(300e6, 200), unit: "ms until 300 Mbit/s", better: "lower" },
        { name: "ramp1000at20Ms", value: ramp(1e9, 20), unit: "ms until 1 Gbit/s", better: "lower" },
        { name: "ramp1000at200Ms", value: ramp(1e9, 200), unit: "ms until 1 Gbit/s", better: "lower" },
      ],
      tried: { lines: found.length },
    };
  },
};

export default quantum;
