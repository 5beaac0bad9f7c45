import assert from "node:assert/strict";
import { QUANTUM_BYTES, QUANTUM_MS, quantumLimit } from "../../../src/payments/quantum.ts";
import { due } from "../../../src/payments/terms.ts";
import { stepConsumer } from "../../../src/session/consumer.ts";
import { type ConsumerEffect, type ConsumerEvent, type ConsumerState, initialConsumer } from "../../../src/session/consumer-state.ts";
import { describe } from "../../support/harness.ts";

const prices = { perHour: 3_600_000n, perGiB: 1n << 30n };
const rich = 1n << 60n;
const terms = { ...prices, quantum: quantumLimit(prices, rich), validUntilMs: 0 };
const firstDue = due(terms, { bytes: QUANTUM_BYTES, ms: QUANTUM_MS });
const signature = new Uint8Array(64);
const promise = { channel: `0x${"00".repeat(32)}`, cumulative: firstDue, total: firstDue, seq: 1n, signature } as const;
const begun: ConsumerEvent[] = [
  { type: "start", stored: undefined },
  { type: "signed", promise },
  { type: "received", message: { t: "accepted", termsSignature: signature, connection: {} } },
  { type: "opened" },
];
const used = (bytes: bigint, ms: number): ConsumerEvent => ({
  type: "used",
  used: { bytes, ms },
  elapsedMs: ms,
  waitingMs: 0,
  silentMs: 0,
});
const run = (state: ConsumerState, ...events: ConsumerEvent[]): { state: ConsumerState; effects: ConsumerEffect[] } => {
  let effects: ConsumerEffect[] = [];
  for (const event of events) ({ state, effects } = stepConsumer(state, event));
  return { state, effects };
};

describe("session/consumer: what exits take at once", (test) => {
  const credit = { first: firstDue / 2n, later: firstDue * 4n };
  const begin = () => {
    const { state, effects } = run(
      initialConsumer({ terms, budget: rich, start: { cumulative: 0n, consumed: 0n }, credit }),
      begun[0] as ConsumerEvent,
    );
    const [sign] = effects;
    assert.ok(sign?.type === "sign");
    return { state: run(state, ...begun.slice(1)).state, signed: sign.cumulative };
  };
  /** what is bought after so long, with all used up so far */
  const boughtAt = (state: ConsumerState, ms: number) => {
    const all = { bytes: (BigInt(ms) * QUANTUM_BYTES) / 100n, ms };
    const fast = { ...state, line: { ...state.line, perSecond: 1n << 40n }, pending: undefined };
    const { state: next, effects } = run(fast, used(all.bytes, all.ms));
    assert.equal(effects[0]?.type, "sign");
    return { state: next, cost: due(terms, { bytes: next.bought.bytes - all.bytes, ms: next.bought.ms - all.ms }) };
  };

  test("the first purchases cost a part of it, and once others can have seen the first they may cost more", () => {
    const { state, signed } = begin();
    assert.ok(signed <= credit.first && signed > credit.first - 3n);
    assert.ok(boughtAt(state, 2_400).cost <= credit.first);
    const later = boughtAt(state, 2_500).cost;
    assert.ok(later > credit.first && later <= credit.later);
  });

  test("after a minute's rest it begins anew", () => {
    const { state } = boughtAt(begin().state, 3_000);
    const rested = boughtAt(state, 60_000);
    assert.ok(rested.cost <= credit.first);
    assert.ok(boughtAt(rested.state, 62_400).cost <= credit.first);
    assert.ok(boughtAt(rested.state, 62_500).cost > credit.first);
    assert.ok(boughtAt(state, 50_000).cost > credit.first);
  });

  test("what it is by now counts", () => {
    const event = { ...used(8n * QUANTUM_BYTES, 2_400), credit: { first: firstDue / 4n, later: firstDue / 4n } } as ConsumerEvent;
    const { state } = run({ ...begin().state, pending: undefined }, event);
    assert.ok(due(terms, { bytes: state.bought.bytes - 8n * QUANTUM_BYTES, ms: state.bought.ms - 2_400 }) <= firstDue / 4n);
  });
});
