import assert from "node:assert/strict";
import { isOpen, minuteOfWeek, minuteText, opensAt, parseSchedule } from "../../../src/lib/schedule.ts";
import { describe } from "../../support/harness.ts";

const at = (day: number, hour: number, minute = 0) => (day * 24 + hour) * 60 + minute;
const [mon, tue, fri, sat, sun] = [0, 1, 4, 5, 6];
const open = (text: string, minute: number) => isOpen(text.split(",").flatMap(parseSchedule), minute);

describe("lib/schedule", (test) => {
  test("days and hours, either of the two, over midnight and over the week's end", () => {
    for (const [text, inside, outside] of [
      ["mon-fri 18:00-23:30", [at(mon, 18), at(fri, 23, 29)], [at(mon, 17, 59), at(fri, 23, 30), at(sat, 19), at(sun, 18)]],
      ["22:00-06:00", [at(mon, 22), at(tue, 5, 59), at(mon, 0), at(sun, 23)], [at(mon, 6), at(mon, 21, 59)]],
      ["sat-sun", [at(sat, 0), at(sun, 23, 59)], [at(mon, 0), at(fri, 23, 59)]],
      ["SUN 20:00-04:00", [at(sun, 20), at(sun, 23, 59), at(mon, 3, 59)], [at(mon, 4), at(sun, 19, 59), at(tue, 1)]],
      ["sat-mon 0:00-24:00", [at(sat, 0), at(sun, 12), at(mon, 23, 59)], [at(tue, 0), at(fri, 23, 59)]],
      ["tue", [at(tue, 0), at(tue, 23, 59)], [at(mon, 23, 59), at(tue, 24)]],
      ["mon 1:00-2:00,sun 3:00-4:00", [at(mon, 1), at(sun, 3, 30)], [at(mon, 3), at(sun, 1)]],
    ] as const) {
      for (const minute of inside) assert.ok(open(text, minute), `${text} at ${minuteText(minute)}`);
      for (const minute of outside) assert.ok(!open(text, minute), `${text} at ${minuteText(minute)}`);
    }
  });

  test("what is no time of the week is refused", () => {
    for (const bad of [
      ...["", " ", "mo", "mon-", "mon-fry", "monday", "18:00", "18:00-", "18:60-19:00", "25:00-26:00", "24:00-06:00", "18:00-18:00"],
      ...["mon18:00-19:00", "mon 18-19", "0:00-24:01", "mon fri", "mon 1:00-2:00 3:00-4:00", "-1:00-2:00", "mon 18:00-19:00;"],
    ])
      assert.throws(() => parseSchedule(bad), { code: "BAD_VALUE" }, bad);
  });

  test("when it opens next, and how that is written", () => {
    const week = ["mon-fri 18:00-23:30", "sun 9:05-10:00"].flatMap(parseSchedule);
    assert.equal(minuteText(opensAt(week, at(mon, 3))), "Mon 18:00");
    assert.equal(minuteText(opensAt(week, at(fri, 23, 30))), "Sun 09:05");
    assert.equal(minuteText(opensAt(week, at(sun, 10))), "Mon 18:00");
    assert.equal(opensAt(week, at(mon, 18)), at(mon, 18));
  });

  test("a week begins on Monday, by this machine's time", () => {
    assert.equal(minuteOfWeek(new Date(2026, 10, 23, 0, 0).getTime()), 0);
    assert.equal(minuteOfWeek(new Date(2026, 10, 26, 18, 5, 59).getTime()), at(3, 18, 5));
    assert.equal(minuteOfWeek(new Date(2026, 10, 29, 23, 59).getTime()), at(sun, 23, 59));
  });
});
