import assert from "node:assert/strict";
import type { Hex } from "../../../src/lib/codec.ts";
import { closeDelayMs, closeWithinMs } from "../../../src/payments/clearing-policy.ts";
import { chooseClear, clearFromMs, type Held, makeRoom, type Payer, turnMs, type Watched } from "../../../src/watch/policy.ts";
import { describe } from "../../support/harness.ts";

const dayMs = 86_400_000;
const nowMs = 1_700_000_000_000;
const free = { first: 0n, next: 0n };
const signerOf = (n: number): Hex => `0x${String(n).padStart(40, "0")}`;
const watched = (changes: Partial<Watched> = {}): Watched => ({
  ...{ key: "a", signer: signerOf(1), unsettled: 1_000n, feeBps: 500, deadlineMs: nowMs + 30 * dayMs, here: false, place: 0 },
  ...changes,
});
const rich: Payer = { balance: 1_000_000n, closeAtMs: undefined };
const closing: Payer = { ...rich, closeAtMs: nowMs + closeDelayMs };
const choose = (all: Watched[], payer: Payer | undefined, costs = free, atMs = nowMs) => chooseClear(all, () => payer, costs, atMs);

describe("watch/policy: when to clear for another", (test) => {
  test("nothing is cleared for a provider while nothing is in danger, here or away", () => {
    for (const here of [true, false]) assert.deepEqual(choose([watched({ here })], rich), []);
  });

  test("a payer that closes is cleared at once for a provider that is away; one that is here has a day for it", () => {
    assert.deepEqual(choose([watched()], closing), ["a"]);
    const here = watched({ here: true });
    assert.deepEqual(choose([here], closing, free, nowMs + closeWithinMs - 1), []);
    assert.deepEqual(choose([here], closing, free, nowMs + closeWithinMs), ["a"]);
  });

  test("each further watcher has its turn later, and all of them before the payer can withdraw", () => {
    for (const place of [0, 1, 2])
      for (const here of [true, false]) {
        const from = clearFromMs(watched({ place, here }), closing, 1_000n);
        assert.equal(from, nowMs + (here ? closeWithinMs : 0) + place * turnMs);
        assert.ok(from <= nowMs + closeDelayMs - dayMs);
      }
  });

  test("a check that nobody renews is cleared while it still outlasts a payer's close, so no absence is too long", () => {
    const deadlineMs = nowMs + 30 * dayMs;
    assert.equal(clearFromMs(watched({ deadlineMs }), rich, 1_000n), deadlineMs - closeDelayMs);
    assert.deepEqual(choose([watched({ deadlineMs })], rich, free, deadlineMs - closeDelayMs), ["a"]);
  });

  test("nothing goes out that may be too late for its check", () => {
    assert.deepEqual(choose([watched({ deadlineMs: nowMs + 4 * 60_000 })], closing), []);
    assert.deepEqual(choose([watched({ deadlineMs: nowMs + 6 * 60_000 })], closing), ["a"]);
  });

  test("what is over its payer's balance is cleared at once; over half of it while its provider is away", () => {
    const two = [watched({ here: true }), watched({ key: "b", here: true })];
    assert.deepEqual(choose(two, { ...rich, balance: 2_000n }), []);
    assert.deepEqual(choose(two, { ...rich, balance: 1_999n }), ["a", "b"]);
    assert.deepEqual(choose([watched()], { ...rich, balance: 2_000n }), []);
    assert.deepEqual(choose([watched()], { ...rich, balance: 1_999n }), ["a"]);
  });

  test("it is cleared when the fee pays for its gas, and not before", () => {
    // 5 % of 1,000
    assert.deepEqual(choose([watched()], closing, { first: 50n, next: 20n }), ["a"]);
    assert.deepEqual(choose([watched()], closing, { first: 51n, next: 20n }), []);
    const four = ["a", "b", "c", "d"].map((key) => watched({ key, unsettled: 500n }));
    assert.deepEqual(choose(four, closing, { first: 41n, next: 20n }), []);
    assert.deepEqual(choose(four, closing, { first: 40n, next: 20n }), ["a", "b", "c", "d"]);
    // the one whose fee does not even pay for a further claim stays behind
    assert.deepEqual(choose([watched(), watched({ key: "b", unsettled: 100n })], closing, { first: 50n, next: 20n }), ["a"]);
  });

  test("a payer that has nothing left, or is not known, is not cleared; what it has not does not count as fee", () => {
    assert.deepEqual(choose([watched()], { ...closing, balance: 0n }), []);
    assert.deepEqual(choose([watched()], undefined), []);
    assert.deepEqual(choose([watched({ unsettled: 0n })], closing), []);
    assert.deepEqual(choose([watched()], { ...closing, balance: 100n }, { first: 6n, next: 1n }), []);
    assert.deepEqual(choose([watched()], { ...closing, balance: 100n }, { first: 5n, next: 1n }), ["a"]);
  });

  test("what ends first goes first", () => {
    const late = { ...closing, closeAtMs: nowMs + closeDelayMs };
    const soon = { ...closing, closeAtMs: nowMs + dayMs };
    const all = [watched(), watched({ key: "b", signer: signerOf(2) }), watched({ key: "c", deadlineMs: nowMs + dayMs / 2 })];
    assert.deepEqual(
      chooseClear(all, (signer) => (signer === signerOf(2) ? soon : late), free, nowMs),
      ["c", "b", "a"],
    );
  });
});

const room = { all: 100, perProvider: 10, perSigner: 20 };
const held = (n: number, changes: Partial<Held> = {}): Held => ({
  ...{ key: `k${n}`, signer: signerOf(n), provider: signerOf(1_000 + n), unsettled: 100n, takenMs: n },
  ...changes,
});
const all = (changes: (n: number) => Partial<Held> = () => ({})) => Array.from({ length: room.all }, (_, n) => held(n, changes(n)));
const balances = (amount: bigint) => () => amount;

describe("watch/policy: who has room", (test) => {
  test("while there is room nothing goes, and a channel that is kept already takes no more", () => {
    assert.deepEqual(makeRoom(held(500), all().slice(1), balances(1_000n), room), []);
    assert.deepEqual(makeRoom(held(5, { unsettled: 1n }), all(), balances(1_000n), room), []);
  });

  test("when it is full what is worth least goes, for what is worth more, and for nothing else", () => {
    const full = all((n) => (n === 42 ? { unsettled: 50n } : {}));
    assert.deepEqual(makeRoom(held(500, { unsettled: 51n }), full, balances(1_000n), room), ["k42"]);
    assert.equal(makeRoom(held(500, { unsettled: 50n }), full, balances(1_000n), room), undefined);
  });

  test("what is promised without a deposit is worth nothing, whatever fee it promises", () => {
    const mine = (signer: Hex) => (signer === signerOf(7_777) ? 150n : 1_000n);
    // 150 on deposit push out one that is worth 100; the next ones of the same payer have 50 and nothing behind them
    const first = held(600, { signer: signerOf(7_777), unsettled: 150n });
    assert.deepEqual(makeRoom(first, all(), mine, room), ["k0"]);
    const second = held(601, { signer: signerOf(7_777), unsettled: 1_000_000n });
    assert.equal(makeRoom(second, [...all().slice(1), first], mine, room), undefined);
  });

  test("an attacker pushes out as many as its deposit is worth in channels of that size, whichever way it splits it", () => {
    const honest = all();
    for (const size of [101n, 200n, 1_000n]) {
      const deposit = 5_000n;
      let kept = honest;
      for (let i = 0; i < 90; i += 1) {
        const wanted = held(2_000 + i, { signer: signerOf(9_000 + (i % 9)), provider: signerOf(8_000 + (i % 40)), unsettled: size });
        const going = makeRoom(wanted, kept, (signer) => (Number(signer) >= 9_000 ? deposit / 9n : 1_000n), room);
        if (going) kept = [...kept.filter(({ key }) => !going.includes(key)), wanted];
      }
      const lost = honest.filter((one) => !kept.includes(one)).length;
      assert.ok(BigInt(lost) * 100n <= deposit, `${lost} pushed out with ${deposit}`);
      assert.ok(lost > 0);
    }
  });

  test("one provider, and one payer, take no more than their share, and then only push out their own", () => {
    const provider = signerOf(5_000);
    const own = all()
      .slice(0, 10)
      .map((one) => ({ ...one, provider }));
    assert.deepEqual(makeRoom(held(500, { provider, unsettled: 101n }), own, balances(1_000n), room), ["k0"]);
    assert.equal(makeRoom(held(500, { provider }), own, balances(1_000n), room), undefined);
    const signer = signerOf(6_000);
    const paid = all()
      .slice(0, 20)
      .map((one) => ({ ...one, signer }));
    assert.deepEqual(makeRoom(held(500, { signer, unsettled: 101n }), paid, balances(100_000n), room), ["k0"]);
    assert.deepEqual(makeRoom(held(500), paid, balances(100_000n), room), []);
  });
});
