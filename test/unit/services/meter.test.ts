import assert from "node:assert/strict";
import fc from "fast-check";
import {
  acknowledged,
  counted,
  creditFor,
  type ExitMeter,
  grace,
  lossAllowance,
  newMeter,
  sentAtMost,
  usedBytes,
} from "../../../src/services/meter.ts";
import { describe } from "../../support/harness.ts";

const KiB = 1024n;
const bytes = fc.bigInt(0n, 1n << 24n);

/** What happens to a meter: packets, what of them arrives, a reading, the client's word, and a reading that comes late. */
type Happening =
  | { type: "up"; bytes: bigint }
  | { type: "down"; bytes: bigint; arrives: number }
  | { type: "read" }
  | { type: "tell"; percent: number }
  | { type: "late" };
const happening: fc.Arbitrary<Happening> = fc.oneof(
  fc.record({ type: fc.constant("up" as const), bytes }),
  fc.record({ type: fc.constant("down" as const), bytes, arrives: fc.integer({ min: 0, max: 100 }) }),
  fc.record({ type: fc.constant("read" as const) }),
  fc.record({ type: fc.constant("tell" as const), percent: fc.integer({ min: 0, max: 200 }) }),
  fc.record({ type: fc.constant("late" as const) }),
);

/** The true counts beside the meter's. */
function play(happenings: Happening[]) {
  let meter = newMeter;
  let raw = { rxBytes: 0n, txBytes: 0n };
  let [up, sent, arrived, told, nowMs] = [0n, 0n, 0n, 0n, 0];
  const seen: { used: bigint; credit: bigint }[] = [];
  for (const one of happenings) {
    nowMs += 2_100;
    if (one.type === "up") {
      up += one.bytes;
      raw = { ...raw, rxBytes: raw.rxBytes + one.bytes };
    } else if (one.type === "down") {
      sent += one.bytes;
      arrived += (one.bytes * BigInt(one.arrives)) / 100n;
      raw = { ...raw, txBytes: raw.txBytes + one.bytes };
    } else if (one.type === "read") meter = counted(meter, raw);
    else if (one.type === "tell") {
      const word = (arrived * BigInt(one.percent)) / 100n;
      if (word > told) told = word;
      meter = acknowledged(meter, word, nowMs);
    } else meter = counted(meter, { rxBytes: raw.rxBytes / 2n, txBytes: raw.txBytes / 3n });
    seen.push({ used: usedBytes(meter), credit: creditFor(meter, 0n) });
  }
  meter = counted(meter, raw);
  return { meter, up, sent, arrived, told, seen };
}

const smallestSaid = (sent: bigint) => sent - (sent * lossAllowance) / 100n - grace;

describe("wireguard/meter", (test) => {
  test("counts what came, and what was sent as far as the client says that it has arrived", () => {
    let meter = counted(newMeter, { rxBytes: 100n, txBytes: 200n * KiB });
    assert.equal(usedBytes(meter), 100n);
    meter = acknowledged(meter, 150n * KiB, 0);
    assert.equal(usedBytes(meter), 100n + 150n * KiB);
    // its word may come before our own reading; more than was sent it never stands for
    meter = acknowledged(meter, 300n * KiB, 1);
    assert.equal(usedBytes(meter), 100n + 200n * KiB);
    assert.equal(usedBytes(counted(meter, { rxBytes: 100n, txBytes: 250n * KiB })), 100n + 250n * KiB);
  });

  test("neither what is used nor the credit ever falls", () => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 60 }), (happenings) => {
        const { seen } = play(happenings);
        for (const [index, now] of seen.entries()) {
          const before = seen[index - 1];
          assert.ok(!before || (now.used >= before.used && now.credit >= before.credit));
        }
      }),
    );
  });

  test("a client pays for no more than was sent, and no less than that without the allowance and the grace", () => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 60 }), (happenings) => {
        const { meter, up, sent } = play(happenings);
        assert.ok(usedBytes(meter) <= up + sent);
        assert.ok(usedBytes(meter) >= up + smallestSaid(sent));
      }),
    );
  });

  test("an honest client pays for what has reached it, as long as no more is lost than allowed", () => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 60 }), (happenings) => {
        const { meter, up, sent, arrived } = play(happenings);
        const last = acknowledged(meter, arrived, 1e9);
        const least = smallestSaid(sent);
        if (meter.acknowledged <= arrived) assert.equal(usedBytes(last), up + (arrived > least ? arrived : least));
      }),
    );
  });

  test("what the credit gives on top of what is paid is what was lost for good, at most the allowance", () => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 60 }), (happenings) => {
        const { meter, sent } = play(happenings);
        assert.ok(meter.lost >= 0n && meter.lost <= (sent * lossAllowance) / 100n);
      }),
    );
  });

  test("what is still on its way is not taken for lost, so that who stops paying gets nothing more", () => {
    const told = (meter: ExitMeter, word: bigint, atMs: number, sent: bigint) =>
      acknowledged(counted(meter, { rxBytes: 0n, txBytes: sent }), word, atMs);
    let meter = newMeter;
    for (let atMs = 1_000; atMs <= 10_000; atMs += 100) {
      const sent = BigInt(atMs) * KiB;
      meter = told(meter, sent - 512n * KiB, atMs, sent);
    }
    assert.equal(creditFor(meter, 7n), 7n);
    // nothing more is sent, and the rest has never arrived: that much is given again
    meter = told(meter, 9_900n * KiB, 12_100, 10_000n * KiB);
    meter = told(meter, 9_900n * KiB, 14_200, 10_000n * KiB);
    assert.equal(creditFor(meter, 7n), 7n + 100n * KiB);
  });

  test("what was sent at most is told by the bill, to the byte or three", () => {
    fc.assert(
      fc.property(fc.bigInt(4n * grace, 1n << 40n), (sent) => {
        // a client that has told nothing
        const billed = usedBytes(counted(newMeter, { rxBytes: 0n, txBytes: sent }));
        const most = sentAtMost(billed);
        assert.ok(most >= sent - 1n && most <= sent + 2n, `${sent} ${most}`);
      }),
    );
  });
});
