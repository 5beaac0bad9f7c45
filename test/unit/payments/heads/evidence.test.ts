import assert from "node:assert/strict";
import fc from "fast-check";
import type { Hex } from "../../../../src/lib/codec.ts";
import { nextPromise, type PayerTotals } from "../../../../src/payments/channel.ts";
import type { PromiseData } from "../../../../src/payments/eip712.ts";
import {
  findEvidence,
  type Head,
  heldIn,
  maxChannels,
  noHeads,
  relationOf,
  type SignerHeads,
  takeHead,
  totalBefore,
  undoHeads,
} from "../../../../src/payments/heads/evidence.ts";
import { describe } from "../../../support/harness.ts";

const channel = (index: number): Hex => `0x${index.toString(16).padStart(64, "0")}`;
const signature = new Uint8Array(64);
const seen = (content: PromiseData): Head => ({ ...content, signature });
const head = (index: number, seq: number, cumulative: number, total: number): Head =>
  seen({ channel: channel(index), seq: BigInt(seq), cumulative: BigInt(cumulative), total: BigInt(total) });
const cleared = ({ channel, cumulative, total, seq }: Head, block: number): Head => ({ channel, cumulative, total, seq, block });
const takeAll = (heads: Head[], from: SignerHeads = noHeads): SignerHeads => heads.reduce(takeHead, from);

/** What a payer does that signs on several channels: by how much it raises which, how long it waits, and by how much it overstates its total. */
const acts = fc.array(
  fc.record({
    channel: fc.integer({ min: 0, max: 5 }),
    more: fc.bigInt({ min: 1n, max: 1_000n }),
    waitMs: fc.integer({ min: 0, max: 3 }),
    overstate: fc.bigInt({ min: 0n, max: 500n }),
  }),
  { minLength: 1, maxLength: 30 },
);
type Act = typeof acts extends fc.Arbitrary<(infer A)[]> ? A : never;

/** All promises of an honest payer, in order: its total is what it has promised in all, or more, and never falls. */
function honest(all: Act[]): Head[] {
  let totals: PayerTotals = { seq: 0n, total: 0n };
  let told = 0n;
  let nowMs = 1_700_000_000_000;
  const cumulatives = new Map<Hex, bigint>();
  return all.map(({ channel: index, more, waitMs, overstate }) => {
    nowMs += waitMs;
    const id = channel(index);
    const before = cumulatives.get(id) ?? 0n;
    const next = nextPromise(totals, { channel: id, cumulative: before }, before + more, nowMs);
    totals = next;
    cumulatives.set(id, next.cumulative);
    told = next.total + overstate > told ? next.total + overstate : told;
    return seen({ ...next, total: told });
  });
}

describe("payments/heads: evidence", (test) => {
  test("one seq with two contents is evidence, whatever is in them, and the same content twice is none", () => {
    const [a, b] = [head(1, 5, 10, 10), head(2, 5, 10, 20)];
    assert.equal(takeAll([a, a, head(1, 5, 10, 10)]).evidence, undefined);
    assert.deepEqual(takeAll([a, b]).evidence, [a, b]);
    assert.equal(relationOf(takeAll([a]), head(1, 5, 9, 10)), "conflict");
  });

  test("a total under what was promised by then is evidence, with no more heads than it takes", () => {
    const heads = [head(1, 1, 50, 50), head(2, 2, 1, 51), head(3, 3, 30, 81)];
    assert.equal(takeAll(heads).evidence, undefined);
    assert.deepEqual(takeAll([...heads, head(4, 4, 20, 79)]).evidence, [head(4, 4, 20, 79), head(1, 1, 50, 50), head(3, 3, 30, 81)]);
    // 101 by then: the largest two are enough for 79, for 100 it takes all
    assert.equal(takeAll([...heads, head(4, 4, 20, 100)]).evidence?.length, 4);
    assert.equal(takeAll([...heads, head(4, 4, 20, 101)]).evidence, undefined);
  });

  test("an old lie is seen when the head that proves it comes late", () => {
    const [lie, other, later] = [head(1, 2, 10, 10), head(2, 1, 10, 10), head(3, 9, 1, 40)];
    assert.deepEqual(takeAll([lie, later, other]).evidence, [lie, other]);
    assert.equal(relationOf(takeAll([lie, later]), other), "conflict");
  });

  test("what the contract has cleared counts like what was seen", () => {
    const heads = takeAll([cleared(head(1, 1, 50, 50), 7), head(2, 2, 10, 50)]);
    assert.deepEqual(heads.evidence, [head(2, 2, 10, 50), cleared(head(1, 1, 50, 50), 7)]);
  });

  test("evidence that needs a block goes with the block, and other evidence stays", () => {
    const heads = takeAll([cleared(head(1, 1, 50, 50), 7), head(2, 2, 10, 50)]);
    assert.equal(undoHeads(heads, 7).evidence?.length, 2);
    assert.equal(undoHeads(heads, 6).evidence, undefined);
    assert.deepEqual(heldIn(undoHeads(heads, 6)), [head(2, 2, 10, 50)]);
    const signed = takeAll([cleared(head(9, 1, 1, 100), 7), head(1, 5, 10, 20), head(2, 5, 10, 30)]);
    assert.equal(undoHeads(signed, 0).evidence?.length, 2);
    // the block had hidden nothing: what is left is weighed anew
    const both = takeAll([cleared(head(1, 1, 50, 50), 7), head(1, 1, 50, 50), head(2, 2, 10, 50)]);
    assert.deepEqual(undoHeads(both, 6).evidence, [head(2, 2, 10, 50), head(1, 1, 50, 50)]);
  });

  test("more channels than are held: none goes for another, and it is said", () => {
    const full = takeAll(Array.from({ length: maxChannels }, (_, i) => head(i, i + 1, 1, i + 1)));
    assert.equal(full.crowded, false);
    const one = head(maxChannels, maxChannels + 1, 1, maxChannels + 1);
    assert.equal(relationOf(full, one), "crowded");
    const over = takeHead(full, one);
    assert.equal(over.crowded, true);
    assert.deepEqual(heldIn(over), heldIn(full));
    assert.equal(relationOf(over, head(3, 1_000, 2, 2_000)), "news");
  });

  test("the head with the highest seq stays when its channel tells of more money with a lower one", () => {
    const heads = takeAll([head(1, 9, 10, 100), head(1, 8, 20, 90)]);
    assert.deepEqual(heads.newest, head(1, 9, 10, 100));
    assert.equal(heads.channels.get(channel(1))?.seen?.cumulative, 20n);
    assert.equal(heads.total, 100n);
    assert.equal(totalBefore(heads, 9n), 90n);
    assert.equal(totalBefore(heads, 10n), 100n);
  });

  test("an honest payer is never accused: in any order, with any of its heads lost, seen twice, cleared, undone, forgotten", () => {
    const happenings = fc.array(
      fc.record({
        pick: fc.nat(),
        block: fc.option(fc.integer({ min: 0, max: 9 })),
        undo: fc.option(fc.integer({ min: 0, max: 9 })),
        isForgotten: fc.boolean(),
      }),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(acts, happenings, (all, order) => {
        const signed = honest(all);
        let heads = noHeads;
        for (const { pick, block, undo, isForgotten } of order) {
          const one = signed[pick % signed.length] as Head;
          heads = takeHead(heads, block == null ? one : cleared(one, block));
          if (undo != null) heads = undoHeads(heads, undo);
          if (isForgotten && pick % 7 === 0) heads = noHeads;
          assert.equal(heads.evidence, undefined);
        }
        assert.ok(totalBefore(heads, 1n << 64n) <= (signed.at(-1)?.total ?? 0n));
      }),
      { numRuns: 400 },
    );
  });

  test("whoever owes more than its newest head says is found out once the last head of each channel is seen, in any order", () => {
    fc.assert(
      fc.property(acts, fc.bigInt({ min: 1n, max: 100n }), fc.infiniteStream(fc.nat()), (all, hidden, picks) => {
        const signed = honest(all.map((act) => ({ ...act, overstate: 0n })));
        // every total leaves out as much, as if each exit were told of nothing before it
        const lied = signed.map((one) => ({ ...one, total: one.total - hidden }));
        const last = new Map(lied.map((one) => [one.channel, one]));
        const left = [...last.values()];
        let heads = noHeads;
        while (left.length > 0) {
          const [one] = left.splice((picks.next().value as number) % left.length, 1);
          heads = takeHead(heads, one as Head);
        }
        assert.ok(heads.evidence);
        assert.ok(proves(heads.evidence));
      }),
      { numRuns: 200 },
    );
  });

  test("taking heads one by one finds what looking at all of them finds, and never less than what is left at the end", () => {
    const any = fc.array(
      fc.record({
        channel: fc.integer({ min: 0, max: 3 }),
        seq: fc.integer({ min: 1, max: 8 }),
        cumulative: fc.integer({ min: 0, max: 9 }),
        total: fc.integer({ min: 0, max: 30 }),
      }),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(any, (all) => {
        const heads = takeAll(all.map((one) => head(one.channel, one.seq, one.cumulative, one.total)));
        if (findEvidence(heldIn(heads))) assert.ok(heads.evidence);
        if (heads.evidence) assert.ok(proves(heads.evidence));
        assert.equal(
          heads.sum,
          [...heads.channels.values()].reduce((sum, held) => sum + (held.seen?.cumulative ?? 0n), 0n),
        );
      }),
      { numRuns: 1_000 },
    );
  });
});

/** Whether heads prove a lie by the rule itself, looked at anew. */
function proves(heads: Head[]): boolean {
  const twice = heads.some((a) =>
    heads.some((b) => a.seq === b.seq && (a.channel !== b.channel || a.cumulative !== b.cumulative || a.total !== b.total)),
  );
  const short = heads.some((s) => {
    const most = new Map<Hex, bigint>();
    for (const { channel, cumulative, seq } of heads)
      if (seq <= s.seq && cumulative > (most.get(channel) ?? 0n)) most.set(channel, cumulative);
    return [...most.values()].reduce((sum, cumulative) => sum + cumulative, 0n) > s.total;
  });
  return twice || short;
}
