import assert from "node:assert/strict";
import fc from "fast-check";
import { gated } from "../../../../src/services/proxy/flow.ts";
import { allowing, createGate, ending, newGate, passable, suspending } from "../../../../src/services/proxy/gate.ts";
import { describe } from "../../../support/harness.ts";

const forever = new AbortController().signal;
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("services/proxy/gate: the decision", (test) => {
  test("nothing passes before something is allowed, then as much as is left", () => {
    assert.equal(passable(newGate, 10), 0);
    const open = allowing(newGate, 7n);
    assert.equal(passable(open, 10), 7);
    assert.equal(passable(open, 3), 3);
    assert.equal(passable({ ...open, used: 7 }, 1), 0);
  });

  test("what is allowed does not fall, whatever is said", () => {
    const open = allowing(allowing(newGate, 100n), 40n);
    assert.equal(passable(open, 1000), 100);
    assert.equal(passable(allowing(newGate, -5n), 10), 0);
    assert.equal(passable(allowing(newGate, 2n ** 63n), 10), 10);
  });

  test("a suspension ends with the next allowance, an end does not", () => {
    const suspended = suspending(allowing(newGate, 100n));
    assert.equal(passable(suspended, 10), 0);
    assert.equal(passable(allowing(suspended, 100n), 10), 10);
    const ended = ending(allowing(newGate, 100n));
    for (const state of [ended, allowing(ended, 200n), suspending(ended), allowing(suspending(ended), 300n)])
      assert.equal(passable(state, 10), 0);
  });
});

describe("services/proxy/gate: the gate", (test) => {
  test("all flows together get what is allowed, to the byte and in order, under any sequence of chunks and allowances", async () => {
    const steps = fc.array(
      fc.oneof(fc.record({ allow: fc.nat(400) }), fc.record({ flow: fc.nat(2), bytes: fc.nat(100) }), fc.constant("suspend")),
      {
        maxLength: 40,
      },
    );
    await fc.assert(
      fc.asyncProperty(steps, async (plan) => {
        const gate = createGate();
        const flows = [0, 1, 2].map(() => ({ sent: [] as number[], got: [] as number[], busy: Promise.resolve() }));
        const passes = flows.map((flow) =>
          gated(gate, forever, (bytes) => {
            flow.got.push(...bytes);
            return undefined;
          }),
        );
        let allowed = 0;
        let next = 0;
        const total = () => flows.reduce((sum, flow) => sum + flow.got.length, 0);
        for (const step of plan) {
          if (step === "suspend") gate.suspend();
          else if ("allow" in step) {
            allowed = Math.max(allowed, step.allow);
            gate.allow(BigInt(step.allow));
          } else {
            const bytes = Uint8Array.from({ length: step.bytes }, () => next++ % 256);
            const flow = flows[step.flow];
            flow?.sent.push(...bytes);
            if (flow) flow.busy = flow.busy.then(() => passes[step.flow]?.(bytes));
          }
          await turn();
          assert.ok(total() <= allowed);
          assert.equal(gate.usedBytes(), BigInt(total()));
        }
        gate.allow(BigInt(allowed));
        await turn();
        const sent = flows.reduce((sum, flow) => sum + flow.sent.length, 0);
        assert.equal(total(), Math.min(sent, allowed));
        gate.allow(2n ** 62n);
        await Promise.all(flows.map((flow) => flow.busy));
        for (const flow of flows) assert.deepEqual(flow.got, flow.sent);
      }),
      { numRuns: 200 },
    );
  });

  test("who waits is let in first come first served, and leaves when its signal fires", async () => {
    const gate = createGate();
    const order: string[] = [];
    const gone = new AbortController();
    const wait = (name: string, signal: AbortSignal) =>
      gate.room(signal).then(
        () => order.push(name),
        () => order.push(`${name} left`),
      );
    const all = [wait("a", forever), wait("b", gone.signal), wait("c", forever)];
    gone.abort();
    await turn();
    gate.allow(1n);
    await Promise.all(all);
    assert.deepEqual(order, ["b left", "a", "c"]);
    await gate.room(forever);
    await assert.rejects(gate.room(gone.signal), { name: "AbortError" });
  });

  test("after its end nothing passes and the count stands", async () => {
    const gate = createGate();
    gate.allow(10n);
    assert.equal(gate.take(4), 4);
    gate.end();
    gate.allow(1000n);
    assert.equal(gate.take(4), 0);
    assert.equal(gate.usedBytes(), 4n);
  });
});
