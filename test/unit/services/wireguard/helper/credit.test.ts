import assert from "node:assert/strict";
import fc from "fast-check";
import { bytesOf, counted, newAccount, restarted } from "../../../../../src/services/wireguard/helper/account.ts";
import { createAddressPool, restMs } from "../../../../../src/services/wireguard/helper/address-pool.ts";
import {
  adjusted,
  type CreditState,
  filled,
  given,
  isLive,
  judgeCredit,
  noCredit,
  raised,
  shut,
  stopped,
  unsure,
  untilLookMs,
} from "../../../../../src/services/wireguard/helper/credit.ts";
import { counterMs } from "../../../../../src/services/wireguard/types.ts";
import { describe } from "../../../../support/harness.ts";

const MiB = 1024n * 1024n;
const stats = (rx: number, tx: number) => ({ rxBytes: BigInt(rx), txBytes: BigInt(tx), handshakeMs: 0 });

describe("wireguard credit: what is done with a quota", (test) => {
  const open = (total: bigint, at: bigint, endsAtMs = 1000): CreditState => filled({ totalBytes: total, endsAtMs, changed: true }, at, 0);

  test("before credit nothing is done, with credit it is set", () => {
    assert.equal(judgeCredit(noCredit, 0n, 0), "keep");
    assert.equal(judgeCredit(given(noCredit, { totalBytes: MiB, forMs: 10 }, 5), 0n, 14), "set");
  });

  test("time that is over closes it once, whatever is left", () => {
    const state = open(MiB, 0n, 100);
    assert.equal(judgeCredit(state, 5n, 99), "keep");
    assert.equal(judgeCredit(state, 5n, 100), "stop");
    assert.equal(judgeCredit(stopped(state), 5n, 100), "keep");
    assert.equal(judgeCredit(given(stopped(state), { totalBytes: MiB, forMs: 0 }, 100), 5n, 100), "keep");
  });

  test("credit that is used up closes it, a look after it was set for the last time", () => {
    const state = open(MiB, 0n);
    assert.equal(judgeCredit(state, MiB, 0), "set");
    const { quota } = state;
    assert.ok(quota);
    assert.equal(judgeCredit(adjusted(state, quota, { used: MiB, before: MiB, after: MiB, nowMs: 0 }), MiB, 0), "stop");
    assert.equal(judgeCredit(stopped(state), MiB, 0), "keep");
  });

  test("a quota that could have drifted apart from WireGuard's count is set again", () => {
    assert.equal(judgeCredit(open(100n * MiB, 0n), 16n * MiB + 1n, 0), "set");
    assert.equal(judgeCredit(open(100n * MiB, 0n), 16n * MiB, 0), "keep");
    assert.equal(judgeCredit(open(12n * MiB, 0n), 6n * MiB + 1n, 0), "set");
    assert.equal(judgeCredit(open(12n * MiB, 0n), 6n * MiB, 0), "keep");
    assert.equal(judgeCredit(open(MiB, 0n), MiB / 4n + 1n, 0), "set");
    assert.equal(judgeCredit(open(MiB, 0n), MiB / 4n, 0), "keep");
  });

  test("is looked at again before half of what is left is used up, near the end a quarter, neither at once nor late; where nothing moves as often as counters are read", () => {
    const state = open(10n * MiB, 0n);
    const after = (counted: bigint, passedMs = 100) =>
      untilLookMs(state, { counted: MiB + counted, atMs: 1_000 + passedMs }, { counted: MiB, atMs: 1_000 });
    assert.equal(after(MiB), 400);
    assert.equal(after(3n * MiB), 50);
    assert.equal(after(3n * MiB, 50), 25);
    assert.equal(after(8n * MiB), 25);
    assert.equal(after(20n * MiB), 25);
    assert.equal(after(0n), counterMs);
    assert.equal(untilLookMs(state, { counted: MiB, atMs: 0 }, undefined), counterMs);
    assert.equal(untilLookMs(stopped(state), { counted: 2n * MiB, atMs: 9 }, { counted: MiB, atMs: 8 }), counterMs);
  });

  test("a quota through which nothing moves may have run dry: it is looked into at once, and each second", () => {
    const state = open(MiB, 0n, 5000);
    assert.equal(judgeCredit(state, 1n, 100, false), "keep");
    assert.equal(judgeCredit(state, 1n, 100, true), "set");
    assert.equal(judgeCredit(state, 0n, 999, true), "keep");
    assert.equal(judgeCredit(state, 0n, 1000, true), "set");
  });

  test("what is filled is what is left, and never less than nothing", () => {
    assert.equal(filled(shut({ ...noCredit, totalBytes: MiB }), MiB - 5n, 0).quota?.limit, 5n);
    assert.equal(filled(shut({ ...noCredit, totalBytes: MiB }), MiB + 5n, 0).quota?.limit, 0n);
  });

  test("more credit raises the limit by as much, without a look", () => {
    const state = raised(given(open(MiB, 0n), { totalBytes: 3n * MiB, forMs: 5 }, 0));
    assert.equal(state.quota?.limit, 3n * MiB);
    assert.equal(raised(state).quota?.limit, 3n * MiB);
    assert.equal(raised(given(state, { totalBytes: MiB, forMs: 5 }, 0)).quota?.limit, 3n * MiB);
  });

  test("while it is calm the limit becomes what is used and what is left", () => {
    const state = open(MiB, 0n);
    // it has charged 600 for what WireGuard counts as 500
    const looked = (used: bigint, before: bigint, after: bigint) => ({ used, before, after, nowMs: 0 });
    const quota = { limit: MiB, totalBytes: MiB, counted: 0n, setMs: 0 };
    assert.equal(adjusted(state, quota, looked(600n, 500n, 500n)).quota?.limit, MiB + 100n);
    // and too little for 500 KiB, of which it is a twentieth short
    const counted = 500n * 1024n;
    const used = (counted * 20n) / 21n;
    assert.equal(adjusted(state, quota, looked(used, counted, counted)).quota?.limit, used + MiB - counted);
  });

  test("while much is under way it is not raised, and lowered by no more than the two can be apart", () => {
    const state = open(10n * MiB, 0n);
    const quota = { limit: 10n * MiB, totalBytes: 10n * MiB, counted: 0n, setMs: 0 };
    const looked = (used: bigint, before: bigint, after: bigint) => ({ used, before, after, nowMs: 0 });
    assert.equal(adjusted(state, quota, looked(5n * MiB, MiB, 3n * MiB)).quota?.limit, 10n * MiB);
    assert.equal(adjusted(state, quota, looked(7n * MiB, MiB, 3n * MiB)).quota?.limit, 12n * MiB, "but by more than can be under way");
    assert.equal(adjusted(state, quota, looked(0n, 4n * MiB, 5n * MiB)).quota?.limit, 10n * MiB - MiB / 2n);
  });

  test("what is not known is taken for open", () => {
    const state = unsure({ totalBytes: MiB, endsAtMs: 10, changed: false });
    assert.equal(judgeCredit(state, 0n, 0), "set");
    assert.equal(judgeCredit(state, 0n, 10), "stop");
  });

  test("live is who has both bytes and time", () => {
    const state = open(MiB, 0n, 10);
    assert.deepEqual([isLive(state, 0n, 9), isLive(state, MiB, 9), isLive(state, 0n, 10)], [true, false, false]);
  });
});

describe("wireguard accounts", (test) => {
  test("all that a device has counted is counted once, however often it begins anew", () => {
    const life = fc.record({ newDevice: fc.boolean(), reads: fc.array(fc.tuple(fc.nat(1000), fc.nat(1000)), { maxLength: 5 }) });
    fc.assert(
      fc.property(fc.array(life, { maxLength: 6 }), (lives) => {
        let account = newAccount;
        let sum = 0;
        for (const { reads } of lives) {
          account = restarted(account);
          let [rx, tx] = [0, 0];
          for (const [moreRx, moreTx] of reads) {
            rx += moreRx;
            tx += moreTx;
            sum += moreRx + moreTx;
            account = counted(account, stats(rx, tx));
          }
        }
        assert.equal(bytesOf(account), BigInt(sum));
      }),
    );
  });

  test("a counter that has fallen has begun anew, also without a word", () => {
    const account = counted(counted(newAccount, stats(100, 7)), stats(30, 9));
    assert.deepEqual([account.total.rxBytes, account.total.txBytes], [130n, 9n]);
  });
});

describe("wireguard addresses", (test) => {
  test("none is given twice, and a freed one rests", () => {
    const pool = createAddressPool(["a", "b"]);
    assert.deepEqual([pool.take(0), pool.take(0)], ["a", "b"]);
    assert.throws(() => pool.take(0), { code: "EXIT_FULL" });
    pool.free("b", 10);
    pool.free("b", 11);
    pool.free("c", 12);
    assert.throws(() => pool.take(9 + restMs), { code: "EXIT_FULL" });
    assert.deepEqual(pool.freed(), ["b"]);
    assert.deepEqual(pool.freed(), []);
    assert.equal(pool.take(10 + restMs), "b");
    assert.throws(() => pool.take(1e9), { code: "EXIT_FULL" });
  });
});
