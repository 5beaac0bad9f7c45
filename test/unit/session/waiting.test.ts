import assert from "node:assert/strict";
import fc from "fast-check";
import { QUANTUM_MS, quantumMoney } from "../../../src/payments/quantum.ts";
import { due } from "../../../src/payments/terms.ts";
import { describe } from "../../support/harness.ts";
import { prices, type SimulationOptions, simulateSession } from "../../support/session-simulation.ts";

/** Numbers from 0 to below 1, the same for a seed. */
const random = (seed: number) => () => {
  seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
  return seed / 2_147_483_648;
};
const minuteMs = 60_000;

/** What an exit holds that has served nothing since `servedMs`, in the worst moment of an hour in which a program `asks`. */
function heldBy(options: Partial<SimulationOptions>, asks: "waits on" | "tries again" | "is refused") {
  const session = simulateSession({ delayMs: () => 40, exit: "sells waits", ...options });
  session.run(3_000);
  const { used } = session.consumer();
  const servedMs = session.nowMs();
  let id = 0;
  const again = () => {
    id += 1;
    session.ask(id);
    if (asks === "waits on") return;
    const asked = id;
    session.at(session.nowMs() + (asks === "is refused" ? 90 : 8_000), () => session.giveUp(asked));
    session.at(session.nowMs() + 20_000, again);
  };
  again();
  let most = 0n;
  session.run(60 * minuteMs, () => {
    const held = session.consumer().cumulative - due(prices, { bytes: used.bytes, ms: servedMs });
    if (held > most) most = held;
  });
  return { most, reason: session.consumer().reason?.code, phase: session.consumer().phase };
}

describe("session: waiting for answers, both tables against each other", (test) => {
  test("a late answer passes, however late, and the session goes on as if nothing had been", () => {
    for (const answerMs of [1_000, 3_000, 4_900, 5_100, 7_000, 60_000, 9 * minuteMs]) {
      const session = simulateSession({ delayMs: () => 60 });
      session.run(7_000);
      session.ask(1, answerMs);
      session.run(7_000 + answerMs + 1_000);
      assert.equal(session.answers(), 1, `the answer after ${answerMs} ms has not come`);
      assert.ok(session.longestHeldMs() <= 500, `held back for ${session.longestHeldMs()} ms`);
      session.run(session.nowMs() + 20_000);
      assert.deepEqual([session.consumer().phase, session.provider().phase], ["ACTIVE", "ACTIVE"]);
      const { used, bought } = session.provider();
      // what is beyond the exit's grace is not paid for
      const soldMs = 28_000 + Math.min(answerMs, 2_000);
      assert.ok(Math.abs(used.ms - soldMs) < 1_000, `${used.ms} sold, not ${soldMs}`);
      assert.ok(bought.ms - used.ms <= QUANTUM_MS + 1_000);
      session.disconnect();
      session.run(session.nowMs() + 5_000);
      assert.equal(session.consumer().reason, undefined);
      assert.deepEqual(session.consumer().used, session.provider().used);
    }
  });

  test("a place that is held for ten minutes for nothing is given up", () => {
    const session = simulateSession({ delayMs: () => 60 });
    session.run(3_000);
    session.ask(1, 60 * minuteMs);
    session.run(9 * minuteMs);
    assert.equal(session.provider().phase, "ACTIVE");
    session.run(12 * minuteMs);
    assert.equal(session.provider().reason?.code, "BUDGET_EXHAUSTED");
  });

  test("a thousand waits with jitter: no dispute, nothing stuck, no more than a quantum prepaid, one count in the end", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1 << 30 }), (seed) => {
        const draw = random(seed);
        const session = simulateSession({ delayMs: () => 20 + 900 * draw() ** 3 });
        let asked = 0;
        const askAgain = () => {
          asked += 1;
          const id = asked;
          const answerMs = [30, 1_500, 3_900, 4_100, 12_000, 70_000][Math.floor(draw() * 6)] as number;
          const fails = draw() < 0.2;
          session.ask(id, fails ? undefined : answerMs * (0.8 + 0.4 * draw()));
          if (fails) session.at(session.nowMs() + 100 + 5_000 * draw(), () => session.giveUp(id));
          if (asked < 1_000) session.at(session.nowMs() + answerMs * draw() * 1.5 + 8_000 * draw() ** 2, askAgain);
        };
        session.at(2_000, askAgain);
        let most = 0;
        let disconnecting = false;
        session.run(100 * 60 * minuteMs, () => {
          const [ours, theirs] = [session.consumer(), session.provider()];
          assert.notEqual(ours.phase, "DISPUTED");
          if (ours.phase === "ACTIVE") most = Math.max(most, ours.bought.ms - theirs.used.ms);
          if (asked === 1_000 && ours.phase === "ACTIVE" && !disconnecting) {
            disconnecting = true;
            session.at(session.nowMs() + 3 * minuteMs, session.disconnect);
          }
        });
        assert.equal(asked, 1_000, "the session ended before");
        assert.equal(session.consumer().reason, undefined);
        assert.ok(session.longestHeldMs() < 1_000, `held back for ${session.longestHeldMs()} ms`);
        // what the line takes and what the last invoice has not shown yet come on top
        assert.ok(most <= QUANTUM_MS + 2_500, `${most} ms prepaid`);
        assert.deepEqual(session.consumer().used, session.provider().used);
      }),
      { numRuns: 5 },
    );
  });

  for (const asks of ["waits on", "tries again", "is refused"] as const)
    test(`an exit that acknowledges all, forwards nothing and sells the time holds at most one quantum, while a program ${asks}`, () => {
      const quantum = quantumMoney(prices, 0n);
      const { most, reason, phase } = heldBy({}, asks);
      assert.ok(most > 0n && most <= quantum, `${most} of ${quantum}`);
      assert.deepEqual([phase, reason], ["ACTIVE", undefined]);
      // one that tells an honest count all the while goes on, and holds no more either
      const modest = heldBy({ exit: "honest" }, asks);
      assert.ok(modest.most <= quantum, `${modest.most} of ${quantum}`);
      // without the rule an hour would be sold
      assert.ok(heldBy({ minds: false }, asks).most > 100n * quantum);
    });
});
