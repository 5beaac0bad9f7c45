import assert from "node:assert/strict";
import fc from "fast-check";
import {
  acceptPromise,
  type ChannelState,
  type Conditions,
  nextPromise,
  type Refusal,
  refusals,
  type Sight,
  staleAfterMs,
} from "../../../src/payments/channel.ts";
import { type SignedPromise, signPromise } from "../../../src/payments/promise.ts";
import { describe } from "../../support/harness.ts";
import { account, channel, domain, nowMs, payer } from "./fixtures.ts";

const sign = (promise: { cumulative: bigint; total: bigint; seq: bigint }) => signPromise(domain, payer, { channel, ...promise });
const seq = BigInt(nowMs) << 20n;
const best = sign({ cumulative: 1_000n, total: 5_000n, seq });
const next = { cumulative: 2_000n, total: 6_000n, seq: seq + 1n };
const known = (changes: Partial<ChannelState> = {}): ChannelState => ({
  signer: payer.address,
  channel,
  best,
  paid: 0n,
  claimed: 0n,
  ...changes,
});
const conditions = (changes: Partial<Conditions> = {}): Conditions => ({
  nowMs,
  account: account({ balance: 996_000n }),
  chainReachable: true,
  others: { unsettled: 0n, unclaimed: 0n },
  limits: { maxUnsettled: 50_000n, minBond: 100n },
  ...changes,
});
/** nothing is known of the payer beside this channel, whose best promise others have seen a moment ago */
const sight = (changes: Partial<Sight> = {}): Sight => ({
  standing: "clear",
  totalBefore: 0n,
  total: 0n,
  seen: { cumulative: 1_000n, atMs: nowMs - 2_000 },
  othersUnseen: 0n,
  channels: 1,
  exits: 1,
  ...changes,
});
const seeing = (changes: Partial<Sight>, bond = 800_000n) =>
  conditions({ sight: sight(changes), account: account({ balance: 996_000n, bond }), limits: { maxUnsettled: 200_000n, minBond: 100n } });
const refusal = (promise: SignedPromise, state = known(), given = conditions()): Refusal | undefined => {
  const result = acceptPromise(state, promise, given);
  return result.accepted ? undefined : result.refusal;
};

describe("payments/channel: the next promise", (test) => {
  test("raises total by what it raises the channel, with a seq that was never used", () => {
    const inputs = fc.record({
      seq: fc.bigInt({ min: 0n, max: 2n ** 60n }),
      total: fc.bigInt({ min: 0n, max: 2n ** 90n }),
      cumulative: fc.bigInt({ min: 0n, max: 2n ** 90n }),
      more: fc.bigInt({ min: 1n, max: 2n ** 90n }),
      atMs: fc.integer({ min: 0, max: 2 ** 42 }),
    });
    fc.assert(
      fc.property(inputs, ({ seq: last, total, cumulative, more, atMs }) => {
        const promise = nextPromise({ seq: last, total }, { channel, cumulative }, cumulative + more, atMs);
        assert.equal(promise.total, total + more);
        assert.ok(promise.seq > last);
        assert.ok(promise.seq >= BigInt(atMs) << 20n);
        assert.ok(promise.seq === last + 1n || promise.seq === BigInt(atMs) << 20n);
      }),
    );
  });
});

describe("payments/channel: acceptance", (test) => {
  test("a promise that rises and is covered is taken; sent again it is nothing new", () => {
    const promise = sign(next);
    assert.deepEqual(acceptPromise(known(), promise, conditions()), { accepted: true, fresh: true });
    assert.deepEqual(acceptPromise(known({ best: promise }), promise, conditions()), { accepted: true, fresh: false });
    assert.deepEqual(acceptPromise(known({ best: undefined }), promise, conditions()), { accepted: true, fresh: true });
  });

  const at = (changes: object) => conditions({ account: account({ balance: 996_000n, ...changes }) });
  const cases: [Exclude<Refusal, "bad-signature">, SignedPromise, ChannelState?, Conditions?][] = [
    ["wrong-channel", { ...sign(next), channel: `0x${"00".repeat(32)}` }],
    ["stale", sign({ ...next, seq: seq - 1n })],
    ["conflict", sign({ ...next, seq })],
    ["falls", sign({ ...next, cumulative: 1_000n })],
    ["falls", sign({ ...next, total: 4_999n })],
    ["falls", sign({ cumulative: 0n, total: 0n, seq }), known({ best: undefined })],
    ["seq-ahead", sign({ ...next, seq: (BigInt(nowMs + staleAfterMs) << 20n) + 1n })],
    ["account-unknown", sign(next), known(), conditions({ account: undefined })],
    ["view-stale", sign(next), known(), conditions({ nowMs: nowMs + staleAfterMs + 1 })],
    ["closing", sign(next), known(), at({ closeAtMs: nowMs + 1 })],
    ["bond-low", sign(next), known(), at({ bond: 99n })],
    ["conflict-known", sign(next), known(), seeing({ standing: "conflict" })],
    ["crowded", sign(next), known(), seeing({ standing: "crowded" })],
    ["loud", sign(next), known(), seeing({ standing: "loud" })],
    ["over-line", sign(next), known(), at({ line: 5_999n, balance: 5_999n })],
    ["total-low", sign(next), known(), at({ balance: 995_999n })],
    ["total-low", sign(next), known(), conditions({ others: { unsettled: 1n, unclaimed: 1n } })],
    ["total-low", sign(next), known(), seeing({ totalBefore: 6_001n })],
    ["over-bond", sign({ ...next, total: 26_001n }), known(), at({ bond: 44_000n })],
    ["over-bond", sign(next), known(), seeing({ total: 26_001n }, 44_000n)],
    ["over-limit", sign(next), known(), conditions({ limits: { maxUnsettled: 1_999n, minBond: 0n } })],
    ["over-limit", sign(next), known(), at({ bond: 15_999n })],
    // the first head is under way, or there is none: bond / (8 N)
    ["unseen", sign(next), known(), seeing({ seen: undefined, exits: 51 })],
    // a minute idle: the same, beyond what others have seen
    ["unseen", sign(next), known(), seeing({ seen: { cumulative: 1_000n, atMs: nowMs - 60_001 }, exits: 101 })],
    // signed long ago: the same
    [
      ...(["unseen", sign({ ...next, seq: seq + 1n }), known()] as const),
      { ...seeing({ seen: { cumulative: 1_000n, atMs: nowMs + 598_001 }, exits: 101 }), nowMs: nowMs + 600_001, chainReachable: false },
    ],
    // other channels of the payer with us that begin take part of it
    ["unseen", sign(next), known(), seeing({ seen: undefined, exits: 40, othersUnseen: 501n })],
    // later: bond / (16 k^2) beyond what others have seen
    ["unseen", sign(next), known(), seeing({ channels: 8 })],
    ["strangers", sign(next), known(), conditions({ strangers: 998_001n })],
    ["overdue", sign(next), known(), conditions({ overdue: true })],
  ];
  for (const [expected, promise, state, given] of cases)
    test(`refuses '${expected}': ${refusals[expected].text}`, () => {
      assert.equal(refusal(promise, state, given), expected);
    });

  test("the limits themselves are still allowed", () => {
    const limits = { maxUnsettled: 2_000n, minBond: 16_000n };
    assert.equal(refusal(sign(next), known(), conditions({ limits, account: account({ balance: 996_000n, bond: 16_000n }) })), undefined);
    const ahead = sign({ ...next, seq: BigInt(nowMs + staleAfterMs) << 20n });
    assert.equal(refusal(ahead), undefined);
  });

  test("what is owed here is never more than the payer's balance holds", () => {
    const amount = fc.bigInt({ min: 0n, max: 20_000n });
    fc.assert(
      fc.property(amount, amount, amount, amount, (cumulative, total, line, balance) => {
        const promise = sign({ cumulative, total, seq: seq + 1n });
        const given = conditions({ account: account({ line, balance: balance < line ? balance : line }) });
        if (refusal(promise, known({ best: undefined }), given) === undefined) assert.ok(cumulative <= balance);
      }),
      { numRuns: 300 },
    );
  });

  test("a settlement of ours that the account's view knows before our ledger does not accuse the payer", () => {
    // 1,000 were claimed and paid: spent has risen by as much, `paid` not yet
    const view = account({ balance: 995_000n });
    assert.equal(refusal(sign(next), known(), conditions({ account: view })), "total-low");
    assert.equal(refusal(sign(next), known({ claimed: 1_000n }), conditions({ account: view })), undefined);
  });

  test("what others have not seen may come up to the limit", () => {
    const none = [seeing({ seen: undefined, exits: 50 }), seeing({ seen: undefined, exits: 40, othersUnseen: 500n })];
    const idle = seeing({ seen: { cumulative: 1_000n, atMs: nowMs - 60_001 }, exits: 100 });
    const inUse = [seeing({ channels: 7, exits: 1_000 }), seeing({ channels: 100, seen: { cumulative: 2_000n, atMs: nowMs - 60_000 } })];
    const old = { ...seeing({ exits: 100 }), nowMs: nowMs + 600_001, chainReachable: false };
    for (const given of [...none, idle, ...inUse, old]) assert.equal(refusal(sign(next), known(), given), undefined);
    // what the contract has paid is no credit
    assert.equal(refusal(sign(next), known({ paid: 1_500n, claimed: 1_500n }), seeing({ seen: undefined, exits: 200 })), undefined);
  });

  test("whoever comes back with credit left waits for nobody: the stored promise is good, and a little more than others have seen", () => {
    const idle = { seen: { cumulative: 1_000n, atMs: nowMs - 86_400_000 }, exits: 1_000 };
    assert.deepEqual(acceptPromise(known(), best, seeing({ ...idle, seen: undefined })), { accepted: true, fresh: false });
    assert.equal(refusal(sign({ ...next, cumulative: 1_100n }), known(), seeing(idle)), undefined);
  });

  test("all that never cleared here may owe twenty times what one may, and one that has cleared is none of them", () => {
    assert.equal(refusal(sign(next), known(), conditions({ strangers: 998_000n })), undefined);
    assert.equal(refusal(sign(next), known(), conditions({ strangers: undefined })), undefined);
  });

  test("of several things that are wrong the first is told", () => {
    const order: Refusal[] = [
      ...(["closing", "bond-low", "conflict-known", "total-low", "over-bond", "over-limit", "unseen", "strangers", "overdue"] as const),
    ];
    const wrong = {
      closing: { account: account({ closeAtMs: nowMs, balance: 990_000n, bond: 99n }) },
      "bond-low": { account: account({ balance: 990_000n, bond: 99n }) },
      "conflict-known": { sight: sight({ standing: "conflict", seen: undefined, exits: 10_000, totalBefore: 6_001n, total: 900_000n }) },
      "total-low": { sight: sight({ seen: undefined, exits: 10_000, totalBefore: 6_001n, total: 900_000n }) },
      "over-bond": { sight: sight({ seen: undefined, exits: 10_000, total: 900_000n }) },
      "over-limit": { sight: sight({ seen: undefined, exits: 10_000 }), limits: { maxUnsettled: 1_999n, minBond: 100n } },
      unseen: { sight: sight({ seen: undefined, exits: 10_000 }) },
      strangers: { strangers: 1n << 90n },
      overdue: { overdue: true },
    };
    for (const [i, expected] of order.entries()) {
      // each with everything wrong that comes after it
      const rest = [...order.slice(i)].reverse().map((each) => wrong[each as keyof typeof wrong]);
      const given: Conditions = Object.assign(conditions(), ...rest);
      assert.equal(refusal(sign(next), known(), given), expected);
    }
    const names = Object.keys(refusals);
    assert.deepEqual(
      [...order].sort((a, b) => names.indexOf(a) - names.indexOf(b)),
      order,
    );
  });

  test("without an RPC the last view serves, within the same limits", () => {
    const old = { nowMs: nowMs + 10 * staleAfterMs, chainReachable: false };
    assert.equal(refusal(sign(next), known(), conditions(old)), undefined);
    assert.equal(refusal(sign(next), known(), conditions({ ...old, limits: { maxUnsettled: 1_999n, minBond: 0n } })), "over-limit");
    assert.equal(refusal(sign(next), known(), conditions({ ...old, account: undefined })), "account-unknown");
  });

  test("what an honest payer promises, a provider that clears in between takes", () => {
    const steps = fc.array(
      fc.record({ more: fc.bigInt({ min: 1n, max: 900n }), elsewhere: fc.bigInt({ min: 0n, max: 900n }), settle: fc.boolean() }),
      {
        maxLength: 20,
      },
    );
    fc.assert(
      fc.property(steps, (all) => {
        let totals = { seq: 0n, total: 0n };
        let state = known({ best: undefined });
        let spent = 0n;
        for (const { more, elsewhere, settle } of all) {
          totals = { ...totals, total: totals.total + elsewhere };
          const from = { channel, cumulative: state.best?.cumulative ?? 0n };
          const promise = signPromise(domain, payer, nextPromise(totals, from, from.cumulative + more, nowMs));
          const given = conditions({ account: account({ balance: 1_000_000n - spent }) });
          assert.equal(refusal(promise, state, given), undefined);
          totals = { seq: promise.seq, total: promise.total };
          state = { ...state, best: promise };
          if (settle) {
            spent += promise.cumulative - state.paid;
            state = { ...state, paid: promise.cumulative, claimed: promise.cumulative };
          }
        }
      }),
      { numRuns: 30 },
    );
  });
});
