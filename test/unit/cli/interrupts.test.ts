import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { createInterrupts } from "../../../src/cli/interrupts.ts";
import { isMystError } from "../../../src/lib/errors.ts";
import { describe } from "../../support/harness.ts";

const harness = (connected = false) => {
  const emitter = new EventEmitter();
  let forced = 0;
  let unreferenced = 0;
  const target = Object.assign(emitter, { connected, channel: { unref: () => unreferenced++ } }) as unknown as NodeJS.Process;
  return { emitter, interrupts: createInterrupts(target, () => forced++), forced: () => forced, unreferenced: () => unreferenced };
};
const later = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe("cli/interrupts", (test) => {
  test("Ctrl-C asks, and ends with 130; SIGTERM, the terminal's end and a stop from within end with 0", () => {
    for (const [name, status] of [
      ["SIGINT", 130],
      ["SIGTERM", 0],
      ["SIGHUP", 0],
    ] as const) {
      const { emitter, interrupts, forced } = harness();
      emitter.emit(name);
      assert.deepEqual([interrupts.signal.aborted, interrupts.status(), forced()], [true, status, 0]);
    }
    const { interrupts } = harness();
    interrupts.stop();
    assert.deepEqual([interrupts.signal.aborted, interrupts.status()], [true, 0]);
  });

  test("a second Ctrl-C forces; the echo of the first, passed on by a launcher, does not", async () => {
    const { emitter, forced } = harness();
    emitter.emit("SIGINT");
    emitter.emit("SIGINT");
    assert.equal(forced(), 0);
    await later(400);
    emitter.emit("SIGINT");
    assert.equal(forced(), 1);
  });

  test("Ctrl-C while a stop is under way forces as well", async () => {
    const { emitter, forced } = harness();
    emitter.emit("SIGTERM");
    await later(400);
    emitter.emit("SIGINT");
    assert.equal(forced(), 1);
  });

  test("a parent that goes away ends us, and its channel does not keep us alive", () => {
    const { emitter, interrupts, unreferenced } = harness(true);
    assert.equal(unreferenced(), 1);
    emitter.emit("disconnect");
    assert.deepEqual([interrupts.signal.aborted, interrupts.status()], [true, 0]);
  });

  test("race gives what the work gives, or INTERRUPTED at once", async () => {
    const { emitter, interrupts } = harness();
    assert.equal(await interrupts.race(Promise.resolve(7)), 7);
    const never = interrupts.race(new Promise(() => undefined));
    emitter.emit("SIGINT");
    for (const work of [never, interrupts.race(new Promise(() => undefined))])
      await assert.rejects(work, (error) => isMystError(error, "INTERRUPTED"));
  });
});
