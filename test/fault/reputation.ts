import type { Measurement } from "../support/report.ts";
import { average, runReputation, worst } from "./support/reputation/run.ts";

const reputation: Measurement = {
  about:
    "wash trading, infiltration, slander, forks, exits in one place, newcomers and balance, in markets of 50 exits and 400 payers with 500 and 5,000 Sybils",
  runs: 10,
  // it measures no time
  blocksLoop: true,
  run: async ({ runs, log, signal, recorded }) => {
    const found = await runReputation({ runs, sybils: [500, 5_000], watchers: 10, log, signal, recorded });
    for (const problem of found.problems) log(problem);
    const { balances, problems } = found;
    const beside = (name: string, value: number) => ({ name, value });
    const most = { better: "lower" as const, unit: "" };
    const least = { better: "higher" as const, unit: "" };
    const market = Object.values(found.markets).flat();
    return {
      runs: market.length + balances.length,
      failures: problems.length,
      figures: [
        {
          ...{ ...most, name: "washGain", value: worst(found, ({ wash }) => wash.gain), target: 0 },
          beside: beside(
            "impersonal",
            average(found, ({ wash }) => wash.control),
          ),
        },
        {
          ...{ ...most, name: "infiltratorAtTenth", value: worst(found, (one) => one.infiltration.best / one.infiltration.honest) },
          ...{ unit: "of an honest score", target: 0.5 },
          beside: beside(
            "plain median",
            average(found, (one) => one.infiltration.control / one.infiltration.honest),
          ),
        },
        {
          ...{ ...least, name: "revenueForHonestScore", value: -worst(found, (one) => -one.priceOfHonesty) },
          ...{ unit: "exits' revenue", target: 0.5 },
          beside: beside(
            "on average",
            average(found, (one) => one.priceOfHonesty),
          ),
        },
        {
          ...{ ...most, name: "slanderAtTenth", value: worst(found, ({ slander }) => slander.before - slander.after), target: 0.1 },
          beside: beside(
            "a vote each",
            average(found, ({ slander }) => slander.before - slander.control),
          ),
        },
        { ...most, name: "slanderAtOne", value: worst(found, (one) => one.slanderAtOne.before - one.slanderAtOne.after) },
        { ...most, name: "forkedWeight", value: worst(found, ({ forks }) => forks.weight), target: 0 },
        {
          ...{ ...most, name: "colocatedShare", value: worst(found, ({ colocated }) => colocated.share), target: 2 / 21 },
          beside: beside(
            "each counted whole",
            average(found, ({ colocated }) => colocated.control),
          ),
        },
        {
          ...{ ...least, name: "keptBesideWorse", value: -worst(found, ({ crowdedOut }) => -crowdedOut.kept), target: 0.8 },
          beside: beside(
            "1/k whatever the score",
            average(found, ({ crowdedOut }) => crowdedOut.control),
          ),
        },
        {
          ...{ ...least, name: "newcomerShare", value: -worst(found, ({ newcomer }) => -newcomer.share), target: 0.01 },
          beside: beside(
            "nobody explores",
            average(found, ({ newcomer }) => newcomer.control),
          ),
        },
        { ...most, name: "offAThird", value: Math.max(...balances.map(({ off }) => off)), target: 0.2 },
      ],
      tried: {
        ...Object.fromEntries(Object.entries(found.markets).map(([names, all]) => [`${names} sybils`, all.length])),
        balance: balances.length,
      },
    };
  },
};

export default reputation;
