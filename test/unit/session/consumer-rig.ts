import type { SignedPromise } from "../../../src/payments/promise.ts";
import { QUANTUM_BYTES, QUANTUM_MS, quantumLimit } from "../../../src/payments/quantum.ts";
import { due } from "../../../src/payments/terms.ts";
import { stepConsumer } from "../../../src/session/consumer.ts";
import { type ConsumerEffect, type ConsumerEvent, type ConsumerState, initialConsumer } from "../../../src/session/consumer-state.ts";

export const terms = {
  perHour: 3_600_000n,
  perGiB: 1n << 30n,
  quantum: quantumLimit({ perHour: 3_600_000n, perGiB: 1n << 30n }, 1n << 60n),
  validUntilMs: 0,
};
export const rich = 1n << 60n;
export const first = { bytes: QUANTUM_BYTES, ms: QUANTUM_MS };
export const firstDue = due(terms, first);
export const promise = (cumulative: bigint): SignedPromise => ({
  channel: `0x${"00".repeat(32)}`,
  cumulative,
  total: cumulative,
  seq: 1n,
  signature: new Uint8Array(64),
});
export const fresh = (budget = rich, start = { cumulative: 0n, consumed: 0n }): ConsumerState => initialConsumer({ terms, budget, start });

export const run = (state: ConsumerState, ...events: ConsumerEvent[]): { state: ConsumerState; effects: ConsumerEffect[] } => {
  let effects: ConsumerEffect[] = [];
  for (const event of events) ({ state, effects } = stepConsumer(state, event));
  return { state, effects };
};
export const types = (effects: ConsumerEffect[]) => effects.map(({ type }) => type);
export const begun: ConsumerEvent[] = [
  { type: "start", stored: undefined },
  { type: "signed", promise: promise(firstDue) },
  { type: "received", message: { t: "accepted", termsSignature: new Uint8Array(64), connection: {} } },
  { type: "opened" },
];
export const active = (budget = rich) => run(fresh(budget), ...begun).state;
/** `ms`: own count of time; `elapsedMs`: where waits have kept it behind */
export const used = (bytes: bigint, ms: number, waitingMs = 0, silentMs = 0, elapsedMs = ms): ConsumerEvent => ({
  ...{ type: "used", used: { bytes, ms } },
  ...{ elapsedMs, waitingMs, silentMs },
});
export const failed: ConsumerEvent = { type: "failed", code: "PEER_UNREACHABLE", message: "gone" };
export const invoice = (bytes: bigint, ms: number): ConsumerEvent => ({ type: "received", message: { t: "invoice", used: { bytes, ms } } });
