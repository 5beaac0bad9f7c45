import assert from "node:assert/strict";
import type { SignedPromise } from "../../../src/payments/promise.ts";
import {
  idleMs,
  initialProvider,
  type ProviderEffect,
  type ProviderEvent,
  type ProviderState,
  stepProvider,
  unpaidMs,
} from "../../../src/session/provider.ts";
import { describe } from "../../support/harness.ts";

const terms = { perHour: 3_600_000n, perGiB: 1n << 30n, quantum: 10n, validUntilMs: 0 };
const start = { cumulative: 0n, consumed: 0n };
const fresh = (at = start): ProviderState => initialProvider({ terms, start: at });
/** at these prices a byte and a millisecond cost one base unit each */
const promise = (cumulative: bigint): SignedPromise => ({
  channel: `0x${"00".repeat(32)}`,
  cumulative,
  total: cumulative,
  seq: cumulative,
  signature: new Uint8Array(64),
});

const run = (state: ProviderState, ...events: ProviderEvent[]): { state: ProviderState; effects: ProviderEffect[] } => {
  let effects: ProviderEffect[] = [];
  for (const event of events) {
    const next = stepProvider(state, event);
    state = next.state;
    effects = next.effects;
  }
  return { state, effects };
};
const types = (effects: ProviderEffect[]) => effects.map((effect) => effect.type);
const buys = (bytes: bigint, ms: number, cumulative = bytes + BigInt(ms), n = 0): ProviderEvent[] => [
  { type: "purchase", n, bought: { bytes, ms }, promise: promise(cumulative) },
  { type: "purchased", cumulative },
];
/** `ms`: own count of time; `elapsedMs`: where waits have kept it behind */
const used = (bytes: bigint, ms: number, waiting = false, elapsedMs = ms): ProviderEvent => ({
  ...{ type: "used", used: { bytes, ms } },
  ...{ elapsedMs, waiting },
});
const ended = (bytes: bigint, ms: number): ProviderEvent => ({ type: "ended", used: { bytes, ms } });
const active = (at = start) =>
  run(fresh(at), ...buys(100n, 100, at.cumulative + 200n - (at.cumulative - at.consumed)), { type: "admitted", connection: {} }).state;

describe("session/provider", (test) => {
  test("puts the first promise on disk before it admits, and admits before it accepts", () => {
    const asked = run(fresh(), buys(100n, 100)[0] as ProviderEvent);
    assert.deepEqual(types(asked.effects), ["accept"]);
    const stored = run(asked.state, { type: "purchased", cumulative: 200n });
    assert.deepEqual(types(stored.effects), ["admit"]);
    const admitted = run(stored.state, { type: "admitted", connection: {} });
    assert.deepEqual(types(admitted.effects), ["allow", "sendAccepted"]);
    assert.equal(admitted.state.phase, "ACTIVE");
  });

  test("a service that is there only once its consumer has gone is ended again", () => {
    const asked = run(fresh(), ...buys(100n, 100, 200n));
    const gone = run(asked.state, { type: "lost", code: "PEER_UNREACHABLE", message: "the consumer ended the stream" });
    assert.equal(gone.state.phase, "REFUSED");
    const late = run(gone.state, { type: "admitted", connection: {} });
    assert.deepEqual(types(late.effects), ["endService"]);
    assert.deepEqual(run(late.state, ended(0n, 0)).effects, []);
  });

  test("who comes on another stream is told what has come, and what was acknowledged is acknowledged again", () => {
    const rejoined: ProviderEvent = { type: "rejoined" };
    const bought = run(active(), ...buys(200n, 200, 400n, 1)).state;
    assert.deepEqual(run(bought, rejoined).effects, [
      { type: "takeStream", n: 1 },
      { type: "sendAck", n: 1 },
    ]);
    const checking = run(bought, buys(300n, 300, 600n, 2)[0] as ProviderEvent).state;
    assert.deepEqual(run(checking, rejoined).effects, [{ type: "takeStream", n: 2 }]);
    // the acknowledgement may have gone out on the old stream, so the consumer says it again
    const again = run(bought, ...buys(200n, 200, 400n, 1));
    assert.deepEqual(again.effects.at(-1), { type: "sendAck", n: 1 });
    for (const state of [fresh(), run(bought, { type: "closeAsked" }).state]) assert.deepEqual(run(state, rejoined).effects, []);
  });

  test("refuses a proposal whose consumer knows of less use, although what is prepaid would cover it", () => {
    const proposal = { ...(buys(1n, 1, 50n)[0] as Extract<ProviderEvent, { type: "purchase" }>), n: 0 };
    const refused = run(fresh({ cumulative: 50n, consumed: 20n }), { ...proposal, consumed: 19n });
    assert.deepEqual(refused.effects[0], {
      ...{ type: "sendRefused", code: "CREDIT_MISMATCH" },
      ...{ message: "more was used up before", consumed: 20n },
    });
    assert.deepEqual(types(run(fresh({ cumulative: 50n, consumed: 20n }), { ...proposal, consumed: 20n }).effects), ["accept"]);
  });

  test("refuses a first promise that does not cover what it buys, and says what it has as used up", () => {
    const refused = run(fresh({ cumulative: 50n, consumed: 40n }), {
      type: "purchase",
      n: 0,
      bought: { bytes: 100n, ms: 100 },
      promise: promise(239n),
    });
    assert.deepEqual(types(refused.effects), ["sendRefused", "hangUp"]);
    assert.deepEqual(refused.effects[0], {
      type: "sendRefused",
      code: "CREDIT_MISMATCH",
      message: "the promise does not cover what it buys",
      consumed: 40n,
    });
    assert.equal(refused.state.phase, "REFUSED");
  });

  test("money prepaid in an earlier session buys without a new promise", () => {
    const state = fresh({ cumulative: 240n, consumed: 40n });
    const asked = run(state, { type: "purchase", n: 0, bought: { bytes: 100n, ms: 100 }, promise: promise(240n) });
    assert.deepEqual(types(asked.effects), ["accept"]);
    const over = run(state, { type: "purchase", n: 0, bought: { bytes: 101n, ms: 100 }, promise: promise(240n) });
    assert.deepEqual(types(over.effects), ["sendRefused", "hangUp"]);
  });

  test("a running session declines a purchase that falls, is not covered, or comes before the last is on disk", () => {
    const state = active();
    const cases: ProviderEvent[] = [
      { type: "purchase", n: 1, bought: { bytes: 99n, ms: 100 }, promise: promise(300n) },
      { type: "purchase", n: 1, bought: { bytes: 200n, ms: 99 }, promise: promise(300n) },
      { type: "purchase", n: 1, bought: { bytes: 200n, ms: 200 }, promise: promise(399n) },
      { type: "purchase", n: 1, bought: { bytes: 100n, ms: 100 }, promise: promise(199n) },
    ];
    for (const event of cases) {
      const declined = run(state, event);
      assert.deepEqual(types(declined.effects), ["sendRefused"]);
      assert.equal(declined.state.phase, "ACTIVE");
      assert.deepEqual(declined.state.bought, { bytes: 100n, ms: 100 });
    }
    const [first] = buys(200n, 200, 400n, 1);
    const twice = run(state, first as ProviderEvent, first as ProviderEvent);
    assert.deepEqual(types(twice.effects), ["sendRefused"]);
  });

  test("acknowledges a purchase only once it is on disk", () => {
    const [asked, stored] = buys(200n, 200, 400n, 7);
    const before = run(active(), asked as ProviderEvent);
    assert.deepEqual(types(before.effects), ["accept"]);
    assert.deepEqual(before.state.bought, { bytes: 100n, ms: 100 });
    const after = run(before.state, stored as ProviderEvent);
    assert.deepEqual(after.effects, [
      { type: "allow", bytes: 200n },
      { type: "sendAck", n: 7 },
    ]);
  });

  test("suspends when the bought time is over and resumes with the next purchase", () => {
    const late = run(active(), used(10n, 100));
    assert.deepEqual(types(late.effects), ["suspend"]);
    assert.equal(late.state.phase, "SUSPENDED");
    const again = run(late.state, ...buys(200n, 300, 500n, 1));
    assert.equal(again.state.phase, "ACTIVE");
    assert.deepEqual(types(again.effects), ["allow", "sendAck"]);
  });

  test("does not suspend for time while an answer is waited for, and does when it has passed", () => {
    const waiting = run(active(), used(10n, 150, true));
    assert.equal(waiting.state.phase, "ACTIVE");
    assert.ok(!types(waiting.effects).includes("suspend"));
    assert.deepEqual(types(run(waiting.state, used(20n, 151)).effects), ["suspend"]);
    // bytes are limited as always
    assert.equal(run(waiting.state, used(100n, 151, true)).state.phase, "SUSPENDED");
    // and who has not paid gets nothing by asking
    const asks = run(active(), used(10n, 150), used(10n, 200, true));
    assert.equal(asks.state.phase, "SUSPENDED");
    assert.deepEqual(asks.effects, []);
  });

  test("while an answer is waited for: invoices go on, the service is told anew what is left, and in the end the place is free", () => {
    let state = run(active(), ...buys(200n, 5_000, 5_200n, 1)).state;
    const seen: string[] = [];
    let elapsedMs = 0;
    for (; elapsedMs <= unpaidMs; elapsedMs += 1_000) {
      const next = run(state, used(10n, Math.min(elapsedMs, 2_000), true, elapsedMs));
      state = next.state;
      seen.push(...types(next.effects));
    }
    assert.deepEqual([...new Set(seen)].sort(), ["allow", "sendInvoice"]);
    assert.ok(seen.length > 1_000, `${seen.length} effects`);
    assert.equal(state.phase, "ACTIVE");
    const over = run(state, used(10n, 2_000, true, elapsedMs));
    assert.equal(over.effects.at(-1)?.type, "endService");
    assert.equal(over.state.reason?.code, "BUDGET_EXHAUSTED");
  });

  test("one that pays now and then keeps its place, however long its waits", () => {
    let state = active();
    for (let n = 1; n < 10; n += 1) {
      const elapsedMs = n * (unpaidMs - 1_000);
      state = run(state, used(10n, 50, true, elapsedMs), ...buys(100n, 100 + n, 200n + BigInt(n), n)).state;
    }
    assert.equal(state.phase, "ACTIVE");
  });

  test("time in which nothing was bought never counts, also not when more is bought later", () => {
    const late = run(active(), used(10n, 130), used(10n, 400), ...buys(200n, 300, 500n, 1), used(10n, 450));
    assert.equal(late.state.phase, "ACTIVE");
    assert.equal(late.state.used.ms, 150);
    assert.equal(run(late.state, used(10n, 600)).state.phase, "SUSPENDED");
  });

  test("ends a session that pays for nothing more", () => {
    const late = run(active(), used(100n, 50));
    assert.equal(late.state.phase, "SUSPENDED");
    const idle = run(late.state, used(100n, 51 + idleMs));
    assert.deepEqual(types(idle.effects), ["endService"]);
    assert.equal(idle.state.reason?.code, "BUDGET_EXHAUSTED");
  });

  test("does not bill time that was not bought, nor more than was promised", () => {
    const late = run(active(), used(10n, 5_000), { type: "closeAsked" }, ended(10n, 5_100));
    assert.deepEqual(late.state.used, { bytes: 10n, ms: 100 });
    assert.deepEqual(late.effects[0], { type: "record", consumed: 110n });
  });

  test("records, answers, asks to be settled and hangs up, in this order", () => {
    const end = run(active(), { type: "lost", code: "PEER_UNREACHABLE", message: "gone" }, ended(60n, 90));
    assert.deepEqual(end.effects[0], { type: "record", consumed: 150n });
    assert.deepEqual(types(end.effects), ["record", "sendClosed", "requestSettle", "hangUp"]);
    assert.equal(end.state.phase, "CLEARABLE");
  });

  test("a free price needs no promise", () => {
    const free = initialProvider({ terms: { ...terms, perHour: 0n, perGiB: 0n }, start });
    const begun = run(
      free,
      { type: "purchase", n: 0, bought: { bytes: 1n, ms: 1 }, promise: undefined },
      { type: "purchased", cumulative: 0n },
    );
    assert.deepEqual(types(begun.effects), ["admit"]);
    const much = run(begun.state, { type: "admitted", connection: {} }, used(1n << 40n, 1_000_000));
    assert.equal(much.state.phase, "ACTIVE");
  });
});
