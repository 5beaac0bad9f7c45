import assert from "node:assert/strict";
import {
  type Cause,
  type FailoverEffect,
  type FailoverEvent,
  type FailoverState,
  initialFailover,
  maxRounds,
  pauseMs,
  stepFailover,
  suspectMs,
  unansweredMs,
  type Verdict,
} from "../../../../src/node/failover/machine.ts";
import { describe } from "../../../support/harness.ts";

const at = 1_000_000;
const run = (state: FailoverState, ...events: FailoverEvent[]): { state: FailoverState; effects: FailoverEffect[] } => {
  let effects: FailoverEffect[] = [];
  for (const event of events) ({ state, effects } = stepFailover(state, event));
  return { state, effects };
};
const begin = (mode: "any" | "same" = "any") => initialFailover(mode, at);
const looked = (change: Partial<Extract<FailoverEvent, { type: "looked" }>> = {}): FailoverEvent => ({
  ...{ type: "looked", atMs: at + 10_000, silentMs: 0, waitingMs: 0, isSlow: false, mayAsk: true },
  ...change,
});
const probed = (verdict: Verdict, standby = true): FailoverEvent => ({ type: "probed", atMs: at + 11_000, verdict, standby });
const gone = { code: "PEER_TIMEOUT", message: "it is gone" } as const;
const ended = (failure: { code: never; message: string } | typeof gone = gone): FailoverEvent => ({
  type: "ended",
  atMs: at + 12_000,
  failure,
});
const kinds = (effects: FailoverEffect[]) => effects.map(({ type }) => type);
const lost: FailoverEvent = { type: "lost", atMs: at + 10_000 };
const moved: FailoverEvent = { type: "moved", atMs: at + 10_000 };
const opened: FailoverEvent = { type: "opened", atMs: at + 13_000 };
const probing = (cause: Cause, mode: "any" | "same" = "any") => {
  const event: Record<Cause, FailoverEvent> = {
    ...{ lost, moved, slow: looked({ isSlow: true }) },
    ...{ silent: looked({ silentMs: suspectMs }), unanswered: looked({ waitingMs: unansweredMs }) },
  };
  return run(begin(mode), event[cause]);
};
const leaving = run(probing("silent").state, probed("gone")).state;
const looking = (mode: "any" | "same" = "any") => run(begin(mode), ended()).state;

describe("node/failover machine: what is suspected is probed", (test) => {
  test("an exit that is well is let alone", () => {
    for (const event of [
      looked(),
      looked({ silentMs: suspectMs - 1, waitingMs: unansweredMs - 1 }),
      opened,
      probed("gone"),
      { type: "failed", failure: gone } as const,
    ])
      assert.deepEqual(run(begin(), event), { state: begin(), effects: [] });
  });

  test("whatever looks wrong is probed before anything is done about it", () => {
    for (const cause of ["lost", "moved", "silent", "unanswered", "slow"] as const) {
      const { state, effects } = probing(cause);
      assert.equal(state.phase, "PROBING");
      assert.deepEqual(effects, [{ type: "probe", cause, afterMs: 0 }]);
    }
  });

  test("trouble has lasted since the last sign of life", () => {
    assert.equal(probing("silent").state.sinceMs, at + 10_000 - suspectMs);
    assert.equal(probing("lost").state.sinceMs, at + 10_000);
  });

  test("what is slow is of no interest where nobody else may take over", () => {
    assert.equal(probing("slow", "same").state.phase, "CARRYING");
  });

  test("an exit that is well is not probed again at once, nor from inside before something else was answered: that is paid for", () => {
    const well = run(probing("unanswered").state, probed("well")).state;
    assert.equal(well.phase, "CARRYING");
    assert.deepEqual(run(well, looked({ atMs: at + 11_500, silentMs: suspectMs })).effects, []);
    assert.deepEqual(kinds(run(well, looked({ atMs: at + 12_000, silentMs: suspectMs })).effects), ["probe"]);
    for (const mayAsk of [false, true])
      for (const trouble of [{ waitingMs: unansweredMs }, { isSlow: true }])
        assert.deepEqual(kinds(run(well, looked({ atMs: at + 70_000, mayAsk, ...trouble })).effects), mayAsk ? ["probe"] : []);
  });

  test("while it is probed nothing else begins, and what is worse is what the next probe is for", () => {
    const { state } = probing("silent");
    assert.deepEqual(run(state, looked({ silentMs: 5_000 })), { state, effects: [] });
    const broken = run(state, lost).state;
    assert.equal(broken.cause, "lost");
    // its node answers, and the session has no stream all the same
    assert.deepEqual(kinds(run(broken, probed("well")).effects), ["probe"]);
    assert.equal(run(broken, moved).state.cause, "lost");
    assert.equal(run(state, moved).state.cause, "moved");
  });
});

describe("node/failover machine: leaving is dear", (test) => {
  test("an exit that does not answer is left where another does, and probed again where none does", () => {
    const left = run(probing("silent").state, probed("gone", true));
    assert.deepEqual([left.state.phase, left.state.first, ...kinds(left.effects)], ["LEAVING", "other", "leave"]);
    const kept = run(probing("silent").state, probed("gone", false));
    assert.deepEqual([kept.state.phase, ...kinds(kept.effects)], ["PROBING", "probe"]);
    const named = run(probing("silent", "same").state, probed("gone", true));
    assert.deepEqual([named.state.phase, ...kinds(named.effects)], ["PROBING", "probe"]);
  });

  test("one whose machine says that nobody listens there is left in any case", () => {
    for (const mode of ["any", "same"] as const)
      assert.deepEqual(kinds(run(probing("lost", mode).state, probed("dead", false)).effects), ["leave"]);
  });

  test("one that has begun anew is asked first for a new session", () => {
    const { state } = run(probing("lost").state, probed("unknown"));
    assert.deepEqual([state.phase, state.first], ["LEAVING", "same"]);
    assert.deepEqual(run(state, ended()).effects, [{ type: "look", first: "same", afterMs: 0 }]);
  });

  test("one whose tunnel is dead is left, for another where there is one, else for a new tunnel of its own", () => {
    assert.equal(run(probing("unanswered").state, probed("deaf", true)).state.first, "other");
    assert.equal(run(probing("unanswered").state, probed("deaf", false)).state.first, "same");
    assert.equal(run(probing("unanswered", "same").state, probed("deaf", true)).state.first, "same");
  });

  test("one that is far slower than the standby is left, and only then", () => {
    assert.deepEqual(kinds(run(probing("slow").state, probed("poor", true)).effects), ["leave"]);
    assert.equal(run(probing("slow").state, probed("poor", false)).state.phase, "CARRYING");
    assert.equal(run(probing("slow").state, probed("well", true)).state.phase, "CARRYING");
  });

  test("who stood still himself has seen nothing, and looks again", () => {
    assert.deepEqual(kinds(run(probing("silent").state, probed("unsure")).effects), ["probe"]);
  });

  test("a session that goes on over another connection is told of, with how long it was away", () => {
    const { state, effects } = run(probing("silent").state, probed("rejoined"));
    assert.equal(state.phase, "CARRYING");
    assert.deepEqual(effects, [{ type: "resumed", tookMs: 1_000 + suspectMs }]);
  });
});

describe("node/failover machine: once a session is over", (test) => {
  test("another is looked for, whatever it was in the middle of", () => {
    for (const state of [begin(), probing("silent").state, leaving]) {
      const next = run(state, ended());
      assert.deepEqual([next.state.phase, ...kinds(next.effects)], ["LOOKING", "look"]);
    }
    assert.deepEqual(run(looking(), ended()), { state: looking(), effects: [] });
  });

  test("the next is told of with how long nothing was carried, and watched like the first", () => {
    const { state, effects } = run(leaving, ended(), opened);
    assert.deepEqual(effects, [{ type: "switched", tookMs: 3_000 + suspectMs }]);
    assert.deepEqual([state.phase, state.rounds, state.mode], ["CARRYING", 0, "any"]);
    // it began when the session ended by itself
    assert.deepEqual(run(begin(), ended(), opened).effects, [{ type: "switched", tookMs: 1_000 }]);
  });

  test("what another exit does not help against is the end", () => {
    for (const code of [
      "BUDGET_EXHAUSTED",
      "INSUFFICIENT_FUNDS",
      "ACCOUNT_CLOSING",
      "LEDGER_BEHIND",
      "STORE_FULL",
      "PRIVILEGE_NEEDED",
      "INTERNAL",
    ]) {
      const failure = { code: code as never, message: "ours" };
      for (const next of [run(begin(), ended(failure)), run(looking(), { type: "failed", failure })])
        assert.deepEqual([next.state.phase, ...next.effects], ["OVER", { type: "end", failure }]);
    }
  });

  test("one that cheats is left for another, and not gone back to where it is the only one", () => {
    const failure = { code: "OVERCHARGED" as never, message: "it counts more" };
    assert.deepEqual(kinds(run(begin("any"), ended(failure)).effects), ["look"]);
    assert.deepEqual(kinds(run(begin("same"), ended(failure)).effects), ["end"]);
  });

  test("a look that finds nothing is repeated, at growing intervals, and given up after some ten minutes", () => {
    let state = looking();
    let passedMs = 0;
    let looks = 0;
    for (;;) {
      const next = run(state, { type: "failed", failure: gone });
      state = next.state;
      const [effect] = next.effects;
      if (effect?.type !== "look") {
        assert.deepEqual(effect, { type: "end", failure: gone });
        break;
      }
      assert.ok(effect.afterMs >= (looks === 0 ? 500 : 0) && effect.afterMs <= 15_000);
      passedMs += effect.afterMs;
      looks += 1;
    }
    assert.equal(looks, maxRounds - 1);
    assert.ok(passedMs > 8 * 60_000 && passedMs < 15 * 60_000, `${passedMs}`);
    assert.deepEqual([0, 1, 2, 3, 100].map(pauseMs), [0, 500, 1_000, 2_000, 15_000]);
  });
});

describe("node/failover machine: every state x event", (test) => {
  const states = [begin(), begin("same"), probing("silent").state, probing("lost", "same").state, leaving, looking(), looking("same")];
  const over = run(begin(), { type: "disconnect" }).state;
  const verdicts: Verdict[] = ["well", "rejoined", "unknown", "gone", "dead", "deaf", "poor", "unsure"];
  const events: FailoverEvent[] = [
    ...[looked(), looked({ silentMs: 60_000, waitingMs: 60_000, isSlow: true }), lost, moved, ended(), opened],
    ...verdicts.flatMap((verdict) => [probed(verdict, true), probed(verdict, false)]),
    ...([{ type: "failed", failure: gone }, { type: "disconnect" }] as const),
  ];

  test("what was ended by wish does nothing any more", () => {
    for (const event of events) assert.deepEqual(run(over, event), { state: over, effects: [] });
    for (const state of states) assert.deepEqual(run(state, { type: "disconnect" }), { state: { ...state, phase: "OVER" }, effects: [] });
  });

  test("an exit is left only out of a probe, a look begins only after a session, at most one thing at a time", () => {
    for (const state of states)
      for (const event of events) {
        const { state: next, effects } = run(state, event);
        const what = `${state.phase} x ${event.type}: ${kinds(effects)}`;
        assert.ok(effects.length <= 1, what);
        if (effects[0]?.type === "leave") assert.deepEqual([state.phase, next.phase], ["PROBING", "LEAVING"], what);
        if (effects[0]?.type === "look") assert.equal(next.phase, "LOOKING", what);
        if (effects[0]?.type === "probe") assert.equal(next.phase, "PROBING", what);
        // none waits for something that nothing is on its way to
        if (next.phase === "PROBING" && state.phase !== "PROBING") assert.deepEqual(kinds(effects), ["probe"], what);
        if (next.phase === "PROBING" && event.type === "probed" && state.phase === "PROBING")
          assert.deepEqual(kinds(effects), ["probe"], what);
        if (next.phase === "LOOKING" && event.type === "failed") assert.deepEqual(kinds(effects), ["look"], what);
        if (next.phase === "OVER" && event.type !== "disconnect") assert.deepEqual(kinds(effects), ["end"], what);
      }
  });
});
