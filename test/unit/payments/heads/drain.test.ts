import assert from "node:assert/strict";
import { type Plan, simulateDrain } from "../../../support/drain-simulation.ts";
import { describe } from "../../../support/harness.ts";

const openly: [number, number][] = [
  [4, 0.49],
  [8, 0.49],
  [12, 0.49],
  [20, 0.45],
  [20, 0.25],
];
/** most of them with as many exits as the same has on a real chain */
const bursts: Plan[] = [2, 5, 20, 200].flatMap((exits) =>
  (["own", "as much as is believed"] as const).map((lie) => ({ exits, lie, waves: 3, openly: 0, openlyPart: 0, restMs: 0 })),
);
/** who is believed to have promised little is found out by what it has shown, so here it says as much as is believed */
const patient: Plan[] = [5, 20].flatMap((exits) =>
  openly
    .filter(([many]) => many <= exits)
    .flatMap(([many, part]) =>
      [1, 3].flatMap((waves) =>
        [0, 3_000, 70_000, 700_000].map((restMs): Plan => {
          return { exits, lie: "as much as is believed", waves, openly: many, openlyPart: part, restMs };
        }),
      ),
    ),
);
const plans = [...bursts, ...patient, { ...(patient[20] as Plan), lie: "own" as const }];

/** (1/2 + 1/8 + 0.103) of the bond, in thousandths: what it can come to at most */
const bound = 728;

describe("payments/heads: a payer that runs up a little everywhere and then drains its deposit, in simulated time", (test) => {
  test(`gains less than it loses, in each of ${plans.length} ways to go about it`, () => {
    for (const plan of plans) {
      const { gain, lost } = simulateDrain(plan);
      assert.ok(gain <= bound && gain < lost, `${JSON.stringify(plan)}: gains ${gain}, loses ${lost} thousandths of the bond`);
    }
  });

  test("would see it gain more where exits go by nothing that others know", () => {
    const plan: Plan = { exits: 20, lie: "own", waves: 1, openly: 0, openlyPart: 0, restMs: 0 };
    const { gain, lost } = simulateDrain(plan, false);
    assert.ok(gain > lost && gain > bound, `gains ${gain}, loses ${lost}`);
  });
});
