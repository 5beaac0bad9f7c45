import assert from "node:assert/strict";
import { createPace } from "../../../../../src/services/wireguard/helper/pace.ts";
import { counterMs } from "../../../../../src/services/wireguard/types.ts";
import { describe } from "../../../../support/harness.ts";

const MiB = 1024n * 1024n;

describe("wireguard helper: how often counters are read", (test) => {
  /** one that has been told of `bytes` each 100 ms for so long; what it said last */
  const after = (pace: ReturnType<typeof createPace>, bytes: bigint, fromMs: number, forMs: number): number => {
    let said = 0;
    for (let ms = fromMs; ms < fromMs + forMs; ms += 100) said = pace(bytes, ms);
    return said;
  };

  test("a line that carries next to nothing is read at the usual times", () => {
    assert.equal(after(createPace("wireguard-go"), 1_000n, 0, 5_000), counterMs);
  });

  test("one that has just become fast is read often, one that has carried much three times a second", () => {
    const pace = createPace("wireguard-go");
    // 32 MiB/s: the first quantum of 1 MiB lasts for 31 ms, and a look in six of these is the most that the backend takes
    assert.equal(pace((32n * MiB) / 10n, 0), (100 * 1) / 6);
    assert.equal(after(pace, (32n * MiB) / 10n, 100, 3_000), 300);
  });

  test("not more often than its backend can be read", () => {
    assert.equal(createPace("wireguard-go")(100n * MiB, 0), 100 / 6);
    const first = createPace("wireguard-go");
    first(MiB, 0);
    assert.equal(first(100n * MiB, 1), 10);
    const slow = createPace("kernel");
    slow(MiB, 0);
    assert.equal(slow(100n * MiB, 1), 50);
  });

  test("a burst is remembered for two seconds, and what was carried for good", () => {
    const pace = createPace("wireguard-go");
    pace((32n * MiB) / 10n, 0);
    assert.ok(pace(0n, 1_900) < 20);
    assert.equal(pace(0n, 2_000), counterMs);
    // as much again, at a quarter of the rate: what is bought by now lasts eight times as long
    assert.equal(Math.round(pace((32n * MiB) / 10n, 2_400)), Math.round((2 * 400) / 6));
  });
});
