import assert from "node:assert/strict";
import { QUANTUM_BYTES } from "../../../src/payments/quantum.ts";
import { patienceMs } from "../../../src/session/consumer.ts";
import type { ConsumerEvent, ConsumerState } from "../../../src/session/consumer-state.ts";
import { describe } from "../../support/harness.ts";
import { active, firstDue, invoice, run, types, used } from "./consumer-rig.ts";

describe("session/consumer: what is lost on the way", (test) => {
  test("what this machine has thrown away was served, as far as the exit may have counted it", () => {
    const dropped = (bytes: bigint, droppedBytes: bigint): ConsumerEvent => ({ ...used(bytes, 100), droppedBytes }) as ConsumerEvent;
    assert.equal(run(active(), dropped(1_000n, 500n)).state.used.bytes, 1_500n);
    assert.equal(run(active(), dropped(1_000n, 3n * QUANTUM_BYTES)).state.used.bytes, QUANTUM_BYTES);
    const counted = run(active(), dropped(1_000n, 3n * QUANTUM_BYTES), invoice(700n, 50), dropped(1_000n, 3n * QUANTUM_BYTES));
    assert.equal(counted.state.used.bytes, QUANTUM_BYTES + 700n);
  });

  test("what is lost on the way beyond the exit's allowance is made up for from the quantum; where that is not enough the session ends", () => {
    // 30 MB/s have grown the quantum to 20 MB, which is as much as was served
    const grown: ConsumerState = {
      ...active(),
      line: { perSecond: 30_000_000n, rttMs: 10, since: { ms: 900, bytes: 20_000_000n } },
      bought: { bytes: 22_000_000n, ms: 60_000 },
    };
    const arrived = 20_000_000n;
    const standing = (ms: number) => used(arrived, ms);
    const asked = run(grown, invoice(21_900_000n, 900), standing(1_000));
    assert.deepEqual(types(asked.effects), ["sign"], "nothing is left by the exit's count");
    let state: ConsumerState = { ...grown, bought: { bytes: 2n * arrived, ms: 60_000 } };
    state = run(state, invoice(2n * arrived - 200_000n, 900), standing(1_000), standing(1_000 + patienceMs)).state;
    assert.equal(state.phase, "ACTIVE");
    assert.equal(state.line.perSecond, 30_000_000n, "what is held up says nothing of the line");
    assert.deepEqual([state.pending, state.cumulative], [undefined, firstDue]);
    const over = run(state, standing(1_001 + patienceMs));
    assert.deepEqual([types(over.effects), over.state.reason?.code], [["closeService"], "OVERCHARGED"]);
  });
});
