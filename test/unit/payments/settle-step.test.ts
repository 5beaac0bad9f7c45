import assert from "node:assert/strict";
import fc from "fast-check";
import {
  batchSize,
  maxFailedTransactions,
  retryAfterMs,
  type SettleEffect,
  type SettleEvent,
  type SettleState,
  type StoredSettlement,
  settleStart,
  settleStep,
} from "../../../src/payments/settle-step.ts";
import { describe } from "../../support/harness.ts";

const pending = (channels: string[]): StoredSettlement => ({ nonce: 1, hash: "0x01", raw: "0x02", claims: [], channels });
const run = (events: SettleEvent[], from: SettleState = settleStart) => {
  let state = from;
  let effects: SettleEffect[] = [];
  for (const event of events) {
    const next = settleStep(state, event);
    state = next.state;
    effects = next.effects;
  }
  return { state, effects, kinds: effects.map(({ type }) => type).join(" ") };
};
const restored: SettleEvent = { type: "restored", pending: undefined };
const ask = (channels: string[], urgent = false): SettleEvent => ({ type: "asked", channels, urgent });
const prepared = (channels: string[], what: string[] = channels): SettleEvent => ({
  type: "prepared",
  channels,
  pending: what.length > 0 ? pending(what) : undefined,
});

describe("payments/settle-step: one transaction at a time", (test) => {
  test("nothing is begun before what a former run left is known; that goes first", () => {
    assert.equal(run([ask(["a"])]).kinds, "");
    assert.equal(run([ask(["a"]), restored]).kinds, "prepare");
    const left = run([ask(["a"]), { type: "restored", pending: pending(["b"]) }]);
    assert.equal(left.kinds, "persist submit");
    assert.equal(run([{ type: "settled" }], left.state).kinds, "forget prepare");
  });

  test("a transaction is on disk before it is sent, and forgotten before the next", () => {
    const sent = run([restored, ask(["a", "b"]), prepared(["a", "b"])]);
    assert.equal(sent.kinds, "persist submit");
    assert.deepEqual(sent.state.queue, []);
    const more = run([ask(["a"])], sent.state);
    assert.equal(more.kinds, "");
    assert.equal(run([{ type: "settled" }], more.state).kinds, "forget prepare");
  });

  test("at most a batch at once, the rest after it", () => {
    const many = Array.from({ length: batchSize + 3 }, (_, i) => `c${i}`);
    const { effects, state } = run([restored, ask(many)]);
    assert.deepEqual(effects, [{ type: "prepare", channels: many.slice(0, batchSize) }]);
    const next = run([prepared(many.slice(0, batchSize)), { type: "settled" }], state);
    assert.deepEqual(next.effects.at(-1), { type: "prepare", channels: many.slice(batchSize) });
  });

  test("what is worth no claim is dropped, and rest follows", () => {
    const { state, kinds } = run([restored, ask(["a"]), prepared(["a"], [])]);
    assert.deepEqual([state.phase, state.queue, kinds], ["idle", [], ""]);
  });

  test("a failure keeps what was asked for and tries again, later and later; a wish by hand does not wait", () => {
    const failed = run([restored, ask(["a"]), { type: "failed", dead: false }]);
    assert.deepEqual([failed.state.queue, failed.effects], [["a"], [{ type: "wait", failures: 1 }]]);
    assert.equal(run([ask(["b"])], failed.state).kinds, "");
    assert.equal(run([ask(["b"], true)], failed.state).kinds, "prepare");
    assert.equal(run([{ type: "retry" }], failed.state).kinds, "prepare");
    assert.deepEqual(
      [1, 2, 3, 30].map((n) => retryAfterMs(2_000, n)),
      [2_000, 4_000, 8_000, 32_000],
    );
  });

  test("a transaction whose fate is unknown is sent again, the very same", () => {
    const unknown = run([restored, ask(["a"]), prepared(["a"]), { type: "failed", dead: false }]);
    assert.deepEqual(run([{ type: "retry" }], unknown.state).effects, [
      { type: "persist", pending: pending(["a"]) },
      { type: "submit", pending: pending(["a"]) },
    ]);
  });

  test("a dead one is made anew, but not for ever", () => {
    const dead: SettleEvent = { type: "failed", dead: true };
    let at = run([restored, ask(["a"]), prepared(["a"]), dead]);
    assert.deepEqual([at.kinds, at.state.queue, at.state.pending], ["forget wait", ["a"], undefined]);
    for (let n = 2; n < maxFailedTransactions; n += 1) at = run([{ type: "retry" }, prepared(["a"]), dead], at.state);
    at = run([{ type: "retry" }, prepared(["a"]), dead], at.state);
    assert.deepEqual([at.kinds, at.state.phase, at.state.queue], ["forget giveUp", "idle", []]);
    assert.equal(run([ask(["a"])], at.state).kinds, "prepare");
  });

  test("in whatever order events come, one transaction is under way at most, and none is sent that is not on disk", () => {
    const names = fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 3 });
    const events: fc.Arbitrary<SettleEvent> = fc.oneof(
      fc.record({ type: fc.constant("restored" as const), pending: fc.constant(undefined) }),
      names.map((channels) => ask(channels)),
      names.map((channels) => ask(channels, true)),
      names.map((channels) => prepared(channels)),
      names.map((channels) => prepared(channels, [])),
      fc.constant<SettleEvent>({ type: "settled" }),
      fc.boolean().map((dead): SettleEvent => ({ type: "failed", dead })),
      fc.constant<SettleEvent>({ type: "retry" }),
    );
    fc.assert(
      fc.property(fc.array(events, { maxLength: 30 }), (all) => {
        let state = settleStart;
        for (const event of all) {
          const next = settleStep(state, event);
          const kinds = next.effects.map(({ type }) => type);
          const submits = kinds.filter((kind) => kind === "submit").length;
          const prepares = kinds.filter((kind) => kind === "prepare").length;
          assert.ok(submits + prepares <= 1);
          if (submits) assert.equal(kinds[kinds.indexOf("submit") - 1], "persist");
          if (submits + prepares > 0 && state.phase === "sending") assert.ok(event.type === "settled" || event.type === "failed");
          if (next.state.phase === "sending") assert.ok(next.state.pending);
          if (next.state.phase === "idle") assert.deepEqual([next.state.queue, next.state.pending], [[], undefined]);
          state = next.state;
        }
      }),
      { numRuns: 500 },
    );
  });
});
