import assert from "node:assert/strict";
import { setTimeout as wait } from "node:timers/promises";
import { describe } from "./harness.ts";
import { inTime, lateness, voidDelayMs } from "./lateness.ts";

const block = async (ms = 2 * voidDelayMs) => {
  await wait(50);
  const untilMs = performance.now() + ms;
  while (performance.now() < untilMs);
  await wait(50);
};

describe("support/lateness", (test) => {
  test("a blocked loop is seen, but for what was before all was ready", async () => {
    const long = 10 * voidDelayMs;
    assert.ok((await lateness(() => block(long))).delayMs > 0.9 * long);
    const { delayMs } = await lateness(async (ready) => {
      await block(long);
      ready();
      await wait(50);
    });
    assert.ok(delayMs < 0.9 * long, `${delayMs}`);
  });

  test("what is void is done again, as often as told", async () => {
    let times = 0;
    const said: string[] = [];
    const told = { log: (line: string) => void said.push(line), signal: new AbortController().signal };
    const once = async () => {
      times += 1;
      if (times === 1) await block();
      return times;
    };
    assert.ok((await inTime(5, once, told)).result >= 2);
    assert.match(said[0] ?? "", /^void: the event loop was late by \d+ ms; once more$/);
    times = 0;
    const always = async () => {
      times += 1;
      await block();
    };
    assert.ok((await inTime(2, always, told)).delayMs > voidDelayMs);
    assert.equal(times, 2);
  });
});
