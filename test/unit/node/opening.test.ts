import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger as log } from "../../../src/lib/ports.ts";
import { parseSchedule } from "../../../src/lib/schedule.ts";
import { openStore } from "../../../src/lib/store.ts";
import { MiB } from "../../../src/lib/units.ts";
import { openCarried } from "../../../src/node/carried.ts";
import { type Closed, closedBecause, createOpening } from "../../../src/node/opening.ts";
import { describe } from "../../support/harness.ts";

/** a Thursday */
const noonMs = new Date(2026, 10, 26, 12, 0).getTime();
const hour = 3_600_000;

describe("node/opening: when an exit takes sessions", (test) => {
  test("without hours and a cap always", () => assert.equal(closedBecause({}, 1n << 60n, noonMs), undefined));

  test("in its hours alone, and it says when these begin", () => {
    const options = { schedule: parseSchedule("mon-fri 18:00-23:30") };
    assert.match(closedBecause(options, 0n, noonMs)?.why ?? "", /Thu 18:00/);
    assert.equal(closedBecause(options, 0n, noonMs + 6 * hour), undefined);
    assert.match(closedBecause(options, 0n, noonMs + 36 * hour + 23.5 * hour)?.why ?? "", /Mon 18:00/);
  });

  test("up to its cap; shortly before nothing begins any more, and what runs goes on", () => {
    const options = { monthlyCap: 1000n * MiB };
    assert.equal(closedBecause(options, 990n * MiB - 1n, noonMs), undefined);
    assert.equal(closedBecause(options, 990n * MiB, noonMs)?.fillsUp, true);
    assert.equal(closedBecause(options, 1000n * MiB, noonMs)?.fillsUp, undefined);
    assert.match(closedBecause(options, 1000n * MiB, noonMs)?.why ?? "", /carried the 1000\.0 MiB that it may in 2026-11/);
    // of a large cap not a hundredth is kept back
    assert.equal(closedBecause({ monthlyCap: 1n << 40n }, (1n << 40n) - 65n * MiB, noonMs), undefined);
  });

  test("it tells of each change once, whether by the clock or by what is carried", () => {
    let nowMs = noonMs;
    let bytes = 0n;
    const told: (Closed | undefined)[] = [];
    const add = (more: bigint) => {
      bytes += more;
    };
    const options = { schedule: parseSchedule("thu 12:00-13:00"), monthlyCap: 100n };
    const opening = createOpening({ clock: { nowMs: () => nowMs }, carried: { add, bytes: () => bytes } }, options, (closed) => {
      told.push(closed);
    });
    opening.look();
    opening.carried(50n);
    assert.equal(told.length, 0);
    opening.carried(49n);
    opening.carried(0n);
    opening.carried(1n);
    assert.deepEqual(
      told.map((closed) => closed?.fillsUp),
      [true, undefined],
    );
    bytes = 0n;
    opening.look();
    nowMs += hour;
    opening.look();
    opening.look();
    assert.deepEqual(
      told.slice(2).map((closed) => closed?.why !== undefined),
      [false, true],
    );
  });
});

describe("node/carried: what was carried in a month", (test) => {
  const opened = async (work: (open: () => ReturnType<typeof openStore>, clock: { ms: number; nowMs(): number }) => Promise<void>) => {
    const directory = await mkdtemp(join(tmpdir(), "mystnode-carried-"));
    const clock = { ms: Date.UTC(2026, 10, 30, 23), nowMs: () => clock.ms };
    try {
      await work(() => openStore(directory), clock);
    } finally {
      await rm(directory, { recursive: true });
    }
  };

  test("is counted through restarts to the byte, and after a crash too high by 64 MiB at most", () =>
    opened(async (open, clock) => {
      {
        await using store = await open();
        const carried = await openCarried({ store, clock, log });
        for (let i = 0; i < 100; i += 1) carried.add(1_234_567n);
        await carried.close();
      }
      {
        await using store = await open();
        const carried = await openCarried({ store, clock, log });
        assert.equal(carried.bytes(), 123_456_700n);
        carried.add(1n);
        carried.add(99n * MiB);
        // as if killed here
      }
      await using store = await open();
      const after = (await openCarried({ store, clock, log })).bytes() - 123_456_701n - 99n * MiB;
      assert.ok(after >= 0n && after <= 64n * MiB, `${after}`);
    }));

  test("a new month begins at nothing; a clock that is put back gives nothing back", () =>
    opened(async (open, clock) => {
      await using store = await open();
      const carried = await openCarried({ store, clock, log });
      carried.add(5n * MiB);
      clock.ms += 2 * hour;
      assert.equal(carried.bytes(), 0n);
      carried.add(7n);
      clock.ms -= 48 * hour;
      assert.equal(carried.bytes(), 7n);
      carried.add(1n);
      clock.ms += 48 * hour;
      assert.equal(carried.bytes(), 8n);
      await carried.close();
      assert.equal((await openCarried({ store, clock, log })).bytes(), 8n);
    }));
});
