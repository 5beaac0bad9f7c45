import assert from "node:assert/strict";
import { QUANTUM_BYTES, QUANTUM_MS } from "../../../src/payments/quantum.ts";
import { due } from "../../../src/payments/terms.ts";
import { consumerPatience } from "../../../src/services/unanswered.ts";
import { patienceMs, stepConsumer } from "../../../src/session/consumer.ts";
import type { ConsumerEvent, ConsumerState } from "../../../src/session/consumer-state.ts";
import { describe } from "../../support/harness.ts";
import { active, begun, first, firstDue, fresh, invoice, promise, rich, run, terms, types, used } from "./consumer-rig.ts";

describe("session/consumer", (test) => {
  test("signs the first quantum before it proposes, and opens the service once accepted", () => {
    const started = run(fresh(), begun[0] as ConsumerEvent);
    assert.deepEqual(started.effects, [{ type: "sign", cumulative: firstDue, consumed: 0n }]);
    const signed = run(started.state, begun[1] as ConsumerEvent);
    assert.deepEqual(signed.effects, [{ type: "propose", bought: first, promise: promise(firstDue) }]);
    const accepted = run(signed.state, begun[2] as ConsumerEvent);
    assert.deepEqual(types(accepted.effects), ["openService"]);
    assert.equal(accepted.state.phase, "OPEN");
    assert.equal(active().phase, "ACTIVE");
  });

  test("proposes with the stored promise while money is left on the channel", () => {
    const stored = promise(firstDue);
    const started = run(fresh(rich, { cumulative: firstDue, consumed: 0n }), { type: "start", stored });
    assert.deepEqual(started.effects, [{ type: "propose", bought: first, promise: stored }]);
    assert.equal(started.state.promises, 0);
  });

  test("buys again when less than half a quantum is left, and not before the last purchase is acknowledged", () => {
    const half = used(QUANTUM_BYTES / 2n, 100);
    assert.deepEqual(run(active(), half).effects, []);
    const low = run(active(), used(QUANTUM_BYTES / 2n + 1n, 100));
    assert.deepEqual(types(low.effects), ["sign"]);
    const waiting = run(low.state, { type: "signed", promise: promise(1n) }, used(QUANTUM_BYTES, 200));
    assert.deepEqual(waiting.effects, []);
    const acknowledged = run(waiting.state, { type: "received", message: { t: "ack", n: 1 } }, used(QUANTUM_BYTES / 2n, 300));
    assert.deepEqual(types(acknowledged.effects), []);
    const wrong = run(waiting.state, { type: "received", message: { t: "ack", n: 0 } }, used(QUANTUM_BYTES * 2n, 300));
    assert.deepEqual(types(wrong.effects), []);
    const next = run(acknowledged.state, used(QUANTUM_BYTES * 2n, 400));
    assert.deepEqual(types(next.effects), ["sign"]);
  });

  test("makes no more than ten purchases a second, however fast it is served", () => {
    let state = active();
    let purchases = 0;
    for (let ms = 0; ms <= 1_000; ms += 1) {
      const step = run(state, used(state.bought.bytes, ms));
      if (step.effects.length > 0) purchases += 1;
      state = run(step.state, { type: "received", message: { t: "ack", n: step.state.purchases - 1 } }).state;
    }
    assert.equal(purchases, 10);
  });

  test("the quantum doubles as it is served on a fast line, and stays what the line takes", () => {
    let state = active();
    const quanta: bigint[] = [];
    for (let ms = 0; ms <= 3_000; ms += 10) {
      // 30 MB/s, held up only by what is bought
      const bytes = state.used.bytes + 300_000n;
      const bytesNow = bytes < state.bought.bytes ? bytes : state.bought.bytes;
      const step = run(state, used(bytesNow, ms));
      if (step.effects.length > 0) quanta.push(step.state.bought.bytes - bytesNow);
      const ack: ConsumerEvent = { type: "received", message: { t: "ack", n: step.state.purchases - 1 }, elapsedMs: ms + 10 };
      state = run(step.state, ack).state;
    }
    assert.equal(quanta[0], QUANTUM_BYTES);
    const rise = quanta.slice(1).map((quantum, i) => Number(quantum) / Number(quanta[i]));
    assert.ok(Math.max(...rise) <= 2.5, `${rise}`);
    assert.equal(quanta.at(-1), (30_000_000n * 1_220n) / 1_000n);
  });

  for (const [what, silence] of [
    ["forwards nothing", (ms: number) => [ms, 0]],
    ["says nothing at all", (ms: number) => [0, ms]],
  ] as const)
    test(`an exit that ${what} holds at most one quantum that it has not served`, () => {
      const served = { bytes: (QUANTUM_BYTES * 2n) / 3n, ms: 2_000 };
      let state = run(active(), used(served.bytes, served.ms), { type: "signed", promise: promise(1n) }).state;
      state = run(state, { type: "received", message: { t: "ack", n: 1 } }).state;
      for (let ms = served.ms; ms < 60_000; ms += 250) {
        const [waitingMs, silentMs] = silence(ms - served.ms) as [number, number];
        const beyondMs = Math.max(0, waitingMs - consumerPatience.graceMs);
        state = run(state, used(served.bytes, ms - beyondMs, waitingMs, silentMs, ms), invoice(served.bytes, ms - beyondMs)).state;
      }
      assert.ok(state.cumulative - due(terms, served) <= terms.quantum, `${state.cumulative} promised for ${due(terms, served)}`);
    });

  test("an exit that falls silent is left alone", () => {
    assert.equal(run(active(), used(0n, 100, 0, patienceMs)).state.phase, "ACTIVE");
    const silent = run(active(), used(0n, 100, 0, patienceMs + 1));
    assert.deepEqual(types(silent.effects), ["closeService", "finish"]);
    assert.equal(silent.state.reason?.code, "PEER_TIMEOUT");
  });

  test("a promise that is signed as the session is left still goes out, before the close", () => {
    const leaving = run(active(), used(QUANTUM_BYTES, 100), { type: "disconnect" });
    assert.deepEqual(types(leaving.effects), ["closeService"]);
    const signed = run(leaving.state, { type: "signed", promise: promise(leaving.state.cumulative) });
    assert.deepEqual(types(signed.effects), ["pay"]);
    const closed = run(signed.state, { type: "serviceClosed", used: { bytes: QUANTUM_BYTES, ms: 110 } });
    assert.deepEqual(types(closed.effects), ["sendClose"]);
  });

  test("pays for time again once the exit shows life", () => {
    const silent = run(active(), used(0n, 3_000, 3_000));
    assert.deepEqual(silent.effects, []);
    const alive = run(silent.state, used(0n, 3_250, 0));
    assert.deepEqual(types(alive.effects), ["sign"]);
  });

  for (const [when, ownMs] of [
    ["while traffic flows", 101 + patienceMs],
    ["while own time stands still", 100],
  ] as const)
    test(`an unacknowledged promise ends the session, alone, ${when}`, () => {
      const low = run(active(), used(QUANTUM_BYTES, 100));
      const late = run(low.state, used(QUANTUM_BYTES, ownMs, 0, 0, 101 + patienceMs));
      assert.deepEqual(types(late.effects), ["closeService", "finish"]);
      assert.equal(late.state.reason?.code, "PEER_TIMEOUT");
    });

  test("of time it takes the exit's lower count for its own, until the next invoice and to the end", () => {
    const behind = run(active(), used(0n, 4_000), invoice(0n, 2_500), used(0n, 4_100));
    assert.equal(behind.state.used.ms, 2_600);
    assert.equal(behind.state.ownMs, 4_100);
    assert.equal(run(behind.state, invoice(0n, 9_000), used(0n, 4_200)).state.used.ms, 4_200);
    const left = run(behind.state, { type: "disconnect" }, { type: "serviceClosed", used: { bytes: 0n, ms: 4_300 } });
    assert.equal(left.state.used.ms, 2_800);
  });

  test("what it buys is ahead of the lower count: over many waits no more is prepaid than a quantum", () => {
    let state = active();
    let theirs = 0;
    // a second at a time: of each wait of four the exit counts two
    for (let own = 0, n = 1; own < 400_000; own += 1_000) {
      const waitingMs = own % 4_000;
      state = run(state, used(0n, own, waitingMs), invoice(0n, theirs)).state;
      assert.ok(state.bought.ms <= theirs + QUANTUM_MS + 1_000, `${state.bought.ms} bought for ${theirs}`);
      if (state.pending) state = run(state, { type: "received", message: { t: "ack", n } }).state;
      n = state.purchases;
      if (waitingMs < 2_000) theirs += 1_000;
    }
    assert.ok(state.bought.ms > 190_000, `${state.bought.ms}`);
  });

  test("an invoice above the lower count is no dispute while it is under the own one", () => {
    const pulled = run(active(), used(0n, 30_000), invoice(0n, 0), used(0n, 30_100));
    assert.equal(run(pulled.state, invoice(0n, 30_000 + QUANTUM_MS), used(0n, 30_200)).state.phase, "ACTIVE");
    assert.equal(run(pulled.state, invoice(0n, 30_301 + QUANTUM_MS), used(0n, 30_300)).state.phase, "DISPUTED");
  });

  test("an invoice above the own count is disputed, forgiven when it falls back, and ends the session when it stays", () => {
    const disputed = run(active(), invoice(QUANTUM_BYTES + 2n, 0), used(1n, 100));
    assert.equal(disputed.state.phase, "DISPUTED");
    assert.equal(run(disputed.state, used(2n, 200)).state.phase, "ACTIVE");
    const ended = run(disputed.state, used(1n, 101 + patienceMs));
    assert.deepEqual(types(ended.effects), ["closeService"]);
    assert.equal(ended.state.reason?.code, "OVERCHARGED");
    assert.equal(ended.state.cumulative, firstDue);
  });

  test("never goes over its budget, and says when it is used up", () => {
    const budget = firstDue + 1_000n;
    let state = active(budget);
    let n = 1;
    for (let bytes = 0n; bytes <= QUANTUM_BYTES + 2_000n; bytes += 100_000n) {
      state = run(state, used(bytes, 10, 0, 0, Number(bytes / 1_000n))).state;
      assert.ok(state.cumulative <= budget);
      if (state.pending) state = run(state, { type: "received", message: { t: "ack", n } }).state;
      n = state.purchases;
    }
    const over = run(state, used(state.bought.bytes, 20, 0, 0, 2_000));
    assert.deepEqual(types(over.effects), ["closeService"]);
    assert.equal(over.state.reason?.code, "BUDGET_EXHAUSTED");
  });

  test("a budget under the first quantum proposes nothing", () => {
    const small = run(fresh(0n), { type: "start", stored: undefined });
    assert.deepEqual(types(small.effects), ["finish"]);
    assert.equal(small.state.reason?.code, "BUDGET_TOO_SMALL");
  });

  test("leaves in order: traffic, close, the exit's final count, the ledger", () => {
    const asked = run(active(), { type: "disconnect" });
    assert.deepEqual(types(asked.effects), ["closeService"]);
    const closed = run(asked.state, { type: "serviceClosed", used: { bytes: 500n, ms: 600 } });
    assert.deepEqual(types(closed.effects), ["sendClose"]);
    const confirmed = run(closed.state, { type: "received", message: { t: "closed", used: { bytes: 510n, ms: 590 } } });
    assert.deepEqual(confirmed.effects, [{ type: "finish", consumed: 1_100n }]);
    assert.deepEqual(confirmed.state.used, { bytes: 510n, ms: 590 });
    const greedy = run(closed.state, { type: "received", message: { t: "closed", used: { bytes: 501n + QUANTUM_BYTES, ms: 590 } } });
    assert.deepEqual(greedy.state.used, { bytes: 500n, ms: 600 });
    assert.deepEqual(run(confirmed.state, { type: "disconnect" }, used(9n, 9)).effects, []);
  });

  test("a refusal ends a proposal and leaves a running session in order", () => {
    const refusal: ConsumerEvent = { type: "received", message: { t: "refused", code: "EXIT_FULL", message: "full" } };
    const proposed = run(fresh(), begun[0] as ConsumerEvent, begun[1] as ConsumerEvent, refusal);
    assert.deepEqual(types(proposed.effects), ["finish"]);
    const left = run(active(), refusal);
    assert.deepEqual([types(left.effects), left.state.reason], [["closeService"], { code: "EXIT_FULL", message: "EXIT_FULL: full" }]);
  });

  test("no event in any phase makes an amount fall or something happen after the end", () => {
    const events: ConsumerEvent[] = [
      ...begun,
      used(0n, 0),
      used(QUANTUM_BYTES, 10, 0),
      used(QUANTUM_BYTES * 3n, 20_000, 5_000),
      { type: "disconnect" },
      { type: "failed", code: "PEER_UNREACHABLE", message: "gone" },
      { type: "serviceClosed", used: { bytes: 1n, ms: 1 } },
      { type: "received", message: { t: "ack", n: 1 } },
      { type: "received", message: { t: "invoice", used: { bytes: 1n << 40n, ms: 0 } } },
      { type: "received", message: { t: "closed", used: { bytes: 1n << 40n, ms: 0 } } },
      { type: "received", message: { t: "refused", code: "x", message: "x" } },
    ];
    const seen = new Set<string>();
    const visit = (state: ConsumerState, depth: number) => {
      const key = `${JSON.stringify(state, (_, v) => (typeof v === "bigint" ? v.toString() : v))}`;
      if (depth === 0 || seen.has(key)) return;
      seen.add(key);
      for (const event of events) {
        const next = stepConsumer(state, event);
        assert.ok(next.state.cumulative >= state.cumulative && next.state.bought.bytes >= state.bought.bytes);
        if (state.phase === "CLOSED") assert.deepEqual(next.effects, []);
        const finishing = next.effects.some(({ type }) => type === "finish");
        assert.equal(finishing, state.phase !== "CLOSED" && next.state.phase === "CLOSED");
        visit(next.state, depth - 1);
      }
    };
    visit(fresh(), 6);
    assert.ok(seen.size > 100, `only ${seen.size} states reached`);
  });
});
