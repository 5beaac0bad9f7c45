import assert from "node:assert/strict";
import { silentLogger } from "../../../src/lib/ports.ts";
import { endInOrder } from "../../../src/node/ending.ts";
import { describe } from "../../support/harness.ts";

describe("node/ending", (test) => {
  test("ends everything in its order, whatever fails, throws or never ends", async () => {
    const ended: string[] = [];
    const told: unknown[] = [];
    const log = { ...silentLogger, warn: (_: string, fields: { what?: unknown } = {}) => told.push(fields.what) };
    const slow = async () => {
      await new Promise((done) => setTimeout(done, 20));
      ended.push("slow");
    };
    const endings = [
      { what: "slow", withinMs: 10_000, end: slow },
      { what: "stuck", withinMs: 30, end: () => new Promise(() => undefined) },
      { what: "broken", withinMs: 10_000, end: async () => Promise.reject(new Error("broken")) },
      {
        ...{ what: "worse", withinMs: 10_000 },
        end: () => {
          throw new Error("worse");
        },
      },
      { what: "never begun", withinMs: 10_000, end: () => undefined },
      { what: "expected", withinMs: 30, end: () => new Promise(() => undefined), quietly: true as const },
      { what: "last", withinMs: 10_000, end: async () => ended.push("last") },
    ];
    await endInOrder(endings, log);
    assert.deepEqual(ended, ["slow", "last"]);
    assert.deepEqual(told, ["stuck", "broken", "worse"]);
  });
});
