import assert from "node:assert/strict";
import fc from "fast-check";
import { consumerPatience, createUnanswered, exitPatience, type Patience, type Unanswered } from "../../../src/services/unanswered.ts";
import { describe } from "../../support/harness.ts";

const patience: Patience = { graceMs: 10, lingerMs: 100, progressBytes: 1_000 };

/** A meter on a clock that the test sets. */
const meter = (of = patience) => {
  let nowMs = 1_000_000;
  const unanswered = createUnanswered({ clock: { nowMs: () => nowMs } }, of);
  const at = (ms: number): Unanswered => {
    nowMs = 1_000_000 + ms;
    return unanswered;
  };
  return { ...unanswered, at };
};

describe("services/unanswered", (test) => {
  test("a wait begins with the first thing asked, ends with the next byte down, and counts beyond its grace", () => {
    const { at } = meter();
    assert.deepEqual(at(50).read(), { nowMs: 0, beyondMs: 0 });
    at(100).asked(1);
    at(104).asked(2);
    at(105).asked(1);
    assert.deepEqual(at(110).read(), { nowMs: 10, beyondMs: 0 });
    assert.deepEqual(at(115).read(), { nowMs: 15, beyondMs: 5 });
    at(120).answered();
    assert.deepEqual(at(500).read(), { nowMs: 0, beyondMs: 10 });
    at(600).asked(1);
    assert.deepEqual(at(630).read(), { nowMs: 30, beyondMs: 30 });
  });

  test("an answer to one is an answer: what was asked before it is not waited for any more", () => {
    const { at } = meter();
    at(0).asked(1);
    at(1).asked(2);
    at(2).answered();
    at(3).settled(1);
    assert.deepEqual(at(900).read(), { nowMs: 0, beyondMs: 0 });
  });

  test("who has had an answer and goes is not missed", () => {
    const { at } = meter();
    at(0).asked(1);
    at(1).answered();
    at(2).asked(2);
    at(3).settled(2);
    assert.equal(at(200).read().nowMs, 0);
  });

  test("requests as far apart as the lingering are one wait to the exit whenever they are to the consumer", () => {
    const [consumer, exit] = [meter(consumerPatience), meter(exitPatience)];
    for (let i = 0, ms = 0; i < 200; i += 1, ms += consumerPatience.lingerMs - 50) {
      consumer.at(ms).asked(i);
      consumer.at(ms).settled(i);
      // every other one takes its time
      const lateMs = ms + (i % 2) * 900;
      exit.at(lateMs).asked(i);
      exit.at(lateMs).settled(i);
    }
    const [ours, theirs] = [consumer, exit].map(({ at }) => at(100_000_000).read().beyondMs) as [number, number];
    assert.ok(ours <= theirs, `the consumer leaves out ${ours}, the exit ${theirs}`);
  });

  test("a refusal stops the clock for a while, not for ever", () => {
    const { at } = meter();
    at(0).asked(1);
    at(5).settled(1);
    assert.deepEqual(at(104).read(), { nowMs: 104, beyondMs: 94 });
    assert.deepEqual(at(105).read(), { nowMs: 0, beyondMs: 95 });
    assert.deepEqual(at(10_000).read(), { nowMs: 0, beyondMs: 95 });
  });

  test("a stream of refusals is one long wait with one grace", () => {
    const { at } = meter();
    for (let ms = 0; ms < 10_000; ms += 90) {
      at(ms).asked(ms);
      at(ms + 1).settled(ms);
    }
    assert.deepEqual(at(10_000).read(), { nowMs: 10_000, beyondMs: 9_990 });
    // an answer after the end of the last one takes nothing back
    at(11_000).answered();
    assert.deepEqual(at(11_001).read(), { nowMs: 0, beyondMs: 9_990 + 1 + 90 });
  });

  test("as long as one still waits, nothing is settled", () => {
    const { at } = meter();
    at(0).asked(1);
    at(0).asked(2);
    at(1).settled(1);
    at(2).settled(7);
    assert.equal(at(5_000).read().nowMs, 5_000);
    at(5_000).settled(2);
    assert.equal(at(5_200).read().nowMs, 0);
  });

  test("enough bytes carried upwards stand for an answer", () => {
    const { at } = meter();
    at(0).asked(1);
    at(50).carriedUp(999);
    assert.equal(at(50).read().nowMs, 50);
    at(50).carriedUp(1);
    assert.deepEqual(at(50).read(), { nowMs: 0, beyondMs: 40 });
    at(60).asked(1);
    at(60).carriedUp(999);
    at(60).answered();
    at(60).asked(1);
    at(61).carriedUp(999);
    assert.equal(at(70).read().nowMs, 10, "they count from the last answer");
  });

  test("what its target holds up is asked anew after every answer", () => {
    const { at } = meter();
    at(0).asked(3);
    at(0).heldUp(3, true);
    at(20).answered();
    assert.deepEqual(at(25).read(), { nowMs: 5, beyondMs: 10 });
    at(30).heldUp(3, false);
    at(40).answered();
    assert.deepEqual(at(90).read(), { nowMs: 0, beyondMs: 20 });
  });

  test("a clock that is set back makes no time", () => {
    const { at } = meter();
    at(1_000).asked(1);
    assert.deepEqual(at(0).read(), { nowMs: 0, beyondMs: 0 });
    at(0).answered();
    assert.deepEqual(at(5_000).read(), { nowMs: 0, beyondMs: 0 });
  });

  const step = fc.record({
    what: fc.constantFrom("asked", "answered", "settled", "carriedUp", "pause"),
    of: fc.integer({ min: 0, max: 3 }),
    ms: fc.oneof(fc.integer({ min: 0, max: 3_000 }), fc.integer({ min: 0, max: 90_000 })),
    bytes: fc.integer({ min: 1, max: 1 << 20 }),
    upMs: fc.integer({ min: 0, max: 900 }),
    downMs: fc.integer({ min: 0, max: 900 }),
  });

  test("beyond never falls, never outruns the clock, and is what the present wait says of it", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { at } = meter(exitPatience);
        let ms = 0;
        let before = 0;
        for (const { what, of, ms: passed, bytes } of steps) {
          ms += passed;
          const unanswered = at(ms);
          if (what === "carriedUp") unanswered.carriedUp(bytes);
          else if (what !== "pause") unanswered[what](of);
          const { nowMs, beyondMs } = unanswered.read();
          assert.ok(beyondMs >= before && beyondMs <= ms && nowMs <= ms);
          assert.ok(beyondMs >= nowMs - exitPatience.graceMs);
          before = beyondMs;
        }
      }),
    );
  });

  test("whatever is asked and answered over a line with jitter, the consumer counts no less time than the exit, but for what is under way", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 80 }), (steps) => {
        const consumer = meter(consumerPatience);
        const exit = meter(exitPatience);
        type Happening = { atMs: number; end: typeof exit; what: "asked" | "answered" | "settled"; of: number };
        const happenings: Happening[] = [];
        const say = (atMs: number, end: typeof exit, what: Happening["what"], of: number) => happenings.push({ atMs, end, what, of });
        let ms = 0;
        // what goes one way arrives in order
        let upMs = 0;
        let downMs = 0;
        for (const { what, of, ms: passed, upMs: upDelay, downMs: downDelay } of steps) {
          ms += passed;
          if (what === "asked" || what === "settled") {
            upMs = Math.max(upMs, ms + upDelay);
            say(ms, consumer, what, of);
            say(upMs, exit, what, of);
          }
          if (what === "answered") {
            downMs = Math.max(downMs, ms + downDelay);
            say(ms, exit, what, of);
            say(downMs, consumer, what, of);
          }
        }
        happenings.sort((a, b) => a.atMs - b.atMs);
        for (const { atMs, end, what, of } of happenings) {
          end.at(atMs)[what](of);
          const [ours, theirs] = [consumer.at(atMs).read().beyondMs, exit.at(atMs).read().beyondMs];
          assert.ok(ours <= theirs + 1_800, `the consumer leaves out ${ours}, the exit ${theirs}`);
        }
        const endMs = Math.max(ms, upMs, downMs) + 200_000;
        for (const end of [consumer, exit]) end.at(endMs).settled(0);
        assert.ok(consumer.at(endMs).read().beyondMs <= exit.at(endMs).read().beyondMs + 1_800);
      }),
      { numRuns: 2_000 },
    );
  });
});
