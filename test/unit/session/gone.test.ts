import assert from "node:assert/strict";
import { QUANTUM_BYTES, QUANTUM_MS } from "../../../src/payments/quantum.ts";
import { quietMs } from "../../../src/session/consumer.ts";
import type { ConsumerEvent } from "../../../src/session/consumer-state.ts";
import { describe } from "../../support/harness.ts";
import { active, failed, promise, run, types, used } from "./consumer-rig.ts";

describe("session/consumer: an exit that goes, and one that is back", (test) => {
  test("time that was not bought uses up nothing: prepaid bytes carry over from an exit that was gone", () => {
    const pending = run(active(), used(1_000n, 2_501)).state;
    assert.equal(pending.bought.ms, 2_501 + QUANTUM_MS);
    const gone = run(pending, used(1_000n, 9_000), failed);
    assert.deepEqual(gone.effects.at(-1), { type: "finish", consumed: 1_000n + 2_501n + BigInt(QUANTUM_MS) });
  });

  test("nor does time in which an exit that was left had fallen silent, or had let nothing through", () => {
    for (const silence of [
      [0, 3_000],
      [3_000, 0],
    ] as const) {
      const gone = run(active(), used(1_000n, 4_000, ...silence), failed);
      assert.deepEqual(gone.effects.at(-1), { type: "finish", consumed: 2_000n });
    }
  });

  test("nothing more is bought of an exit that has not been heard of for a while, though bytes still come", () => {
    const bytes = (QUANTUM_BYTES * 5n) / 8n;
    assert.deepEqual(types(run(active(), used(bytes, 100, 0, quietMs)).effects), ["sign"]);
    assert.deepEqual(run(active(), used(bytes, 100, 0, quietMs + 1)).effects, []);
  });

  test("a session that goes on over another stream says again what the exit has not got, and waits for what it has", () => {
    const pending = run(active(), used((QUANTUM_BYTES * 5n) / 8n, 100), { type: "signed", promise: promise(1n) }).state;
    const rejoined = (n: number): ConsumerEvent => ({ type: "received", message: { t: "rejoined", n }, elapsedMs: 5_000 });
    const again = run(pending, rejoined(0));
    assert.deepEqual(again.effects, [{ type: "payAgain", n: 1, bought: pending.bought }]);
    assert.deepEqual(again.state.pending, { n: 1, sinceMs: 5_000 });
    assert.deepEqual(run(pending, rejoined(1)).effects, []);
    const settled = run(pending, { type: "received", message: { t: "ack", n: 1 } }).state;
    assert.deepEqual(run(settled, rejoined(1)), { state: settled, effects: [] });
  });
});
