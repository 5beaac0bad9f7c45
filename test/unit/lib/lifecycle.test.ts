import assert from "node:assert/strict";
import { queryObjects } from "node:v8";
import { deadline } from "../../../src/lib/lifecycle.ts";
import { describe } from "../../support/harness.ts";
import { until } from "../../support/until.ts";

describe("lifecycle: deadlines", (test) => {
  test("one fires after its time, or with the signal that it was given", async () => {
    const stop = new AbortController();
    const [short, long] = [deadline(5, stop.signal), deadline(60_000, stop.signal)];
    await until(() => short.aborted);
    assert.equal(short.reason.name, "TimeoutError");
    assert.equal(long.aborted, false);
    stop.abort(new Error("over"));
    assert.equal(long.reason.message, "over");
  });

  test("those of what is over leave memory, also one within another", async () => {
    const stop = new AbortController();
    const alive = () => queryObjects(AbortSignal, { format: "count" });
    const before = alive();
    for (let i = 0; i < 100; i += 1) {
      const whole = deadline(20, stop.signal);
      AbortSignal.any([deadline(10, whole), new AbortController().signal]).addEventListener("abort", () => undefined);
    }
    assert.ok(alive() > before + 100);
    await until(() => alive() < before + 10, 5_000);
  });
});
