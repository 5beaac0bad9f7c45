import assert from "node:assert/strict";
import fc from "fast-check";
import { signCheck } from "../../../src/payments/check.ts";
import { clearingDomain } from "../../../src/payments/eip712.ts";
import { signPromise } from "../../../src/payments/promise.ts";
import { leastLifeMs, mostLifeMs } from "../../../src/watch/intake.ts";
import { type HandedCheck, watchQuestionCodec } from "../../../src/watch/protocol.ts";
import { describe } from "../../support/harness.ts";
import { account, domain, memoryStore, nowMs } from "../payments/fixtures.ts";
import { handed, hourMs, identityOf, keyOf, payerOf, providerIdentity, setUp, turns } from "./rig.ts";

const other = identityOf(77);

describe("watch/intake: what a watcher keeps", (test) => {
  test("a check of a payer that has the money is kept: on disk before it says so", async () => {
    let writes = 0;
    const store = memoryStore(new Map(), (ops) => {
      writes += 1;
      return ops.some(({ key }) => key.includes("/check/")) ? "lost" : "done";
    });
    const failing = await setUp({ store });
    assert.deepEqual(await failing.ask([handed()]), ["later"]);
    assert.equal(failing.watcher.view().channels, 0);
    assert.ok(writes > 0);
    await failing.watcher.stop();

    const one = await setUp();
    assert.deepEqual(await one.ask([handed()]), ["kept"]);
    const keys = [...one.store.disk.keys()];
    assert.ok(
      keys.some((key) => key.endsWith(`/check/${keyOf(handed())}`)) && keys.some((key) => key.endsWith(`/account/${payerOf(0).address}`)),
    );
    assert.deepEqual(one.watcher.view(), { feeBps: 200, channels: 1, providers: 1, amount: 1_000n, cleared: 0, earned: 0n });
    await one.watcher.stop();
    const again = await setUp({ store: one.store });
    assert.equal(again.watcher.view().amount, 1_000n);
    await again.watcher.stop();
  });

  test("the newest of a channel is kept; an older one, and one that was cleared, is not", async () => {
    const one = await setUp();
    assert.deepEqual(await one.ask([handed({ cumulative: 2_000n }), handed({ cumulative: 1_999n }), handed({ cumulative: 2_000n })]), [
      "kept",
      "old",
      "kept",
    ]);
    assert.deepEqual(await one.ask([handed({ cumulative: 3_000n })]), ["kept"]);
    assert.equal(one.watcher.view().amount, 3_000n);
    const key = keyOf(handed());
    one.state.paid.set(key, 3_000n);
    await one.watcher.take({ type: "cleared", signer: payerOf(0).address, channel: handed().promise.channel });
    assert.deepEqual(await one.ask([handed({ cumulative: 3_000n, deadlineMs: nowMs + 60 * 24 * hourMs })]), ["old"]);
    assert.deepEqual(await one.ask([handed({ cumulative: 3_001n })]), ["kept"]);
    assert.equal(one.watcher.view().amount, 1n);
    await one.watcher.stop();
  });

  test("a replayed check of a channel that was cleared is worth nothing, also where the watcher has forgotten all about it", async () => {
    const one = await setUp();
    one.state.paid.set(keyOf(handed()), 1_000n);
    assert.deepEqual(await one.ask([handed()]), ["old"]);
    assert.equal(one.watcher.view().channels, 0);
    await one.watcher.stop();
  });

  test("a renewed check takes the place of the one that ends sooner, and nothing else changes", async () => {
    const one = await setUp();
    const later = nowMs + 50 * 24 * hourMs;
    assert.deepEqual(await one.ask([handed(), handed({ deadlineMs: later }), handed()]), ["kept", "kept", "kept"]);
    const again = await setUp({ store: one.store, contract: one });
    assert.equal(again.watcher.view().channels, 1);
    // the payer closes long after the first one's end
    again.state.accounts.set(payerOf(0).address, account({ closeAtMs: later - 4 * 24 * hourMs }));
    await again.pass(later - 7 * 24 * hourMs - nowMs + hourMs);
    await again.watcher.take({ type: "closing", signer: payerOf(0).address });
    await turns();
    assert.deepEqual(again.state.transactions, [[keyOf(handed())]]);
    await one.watcher.stop();
    await again.watcher.stop();
  });

  const refusals: [what: string, outcome: string, check: () => HandedCheck, accountChange?: Parameters<typeof account>[0]][] = [
    ["less than it asks for", "fee", () => handed({ feeBps: 199 })],
    ["a deadline before anything could come of it", "deadline", () => handed({ deadlineMs: nowMs + leastLifeMs - 1_000 })],
    ["a deadline in some years", "deadline", () => handed({ deadlineMs: nowMs + mostLifeMs + 2_000 })],
    ["a check to nobody", "invalid", () => handed({ to: `0x${"00".repeat(20)}` })],
    ["a check to the contract", "invalid", () => handed({ to: domain.contract })],
    ["another provider's check", "invalid", () => handed({ provider: other })],
    ["a promise of another channel", "invalid", () => ({ ...handed(), salt: new Uint8Array(12).fill(9) })],
    ["a promise that its payer has not signed", "invalid", () => ({ ...handed({ payer: payerOf(1) }), signer: payerOf(0).address })],
    ["a check for another promise", "invalid", () => ({ ...handed({ cumulative: 5_000n }), check: handed({ cumulative: 4_000n }).check })],
    [
      "a check for another chain",
      "invalid",
      () => {
        const { promise, ...rest } = handed();
        const elsewhere = clearingDomain({ ...domain, chainId: 5 });
        const { to, feeBps, deadline } = rest.check;
        return { ...rest, promise, check: signCheck(elsewhere, providerIdentity, promise, { to, feeBps, deadline }) };
      },
    ],
    [
      "a promise for another contract",
      "invalid",
      () => {
        const { promise, ...rest } = handed();
        const elsewhere = clearingDomain({ ...domain, contract: `0x${"c2".repeat(20)}` });
        const forged = signPromise(elsewhere, payerOf(0), promise);
        const { to, feeBps, deadline } = rest.check;
        return { ...rest, promise: forged, check: signCheck(domain, providerIdentity, forged, { to, feeBps, deadline }) };
      },
    ],
    ["a payer without an account", "account", () => handed({ payer: payerOf(1) })],
    ["a payer with too little of a bond", "account", () => handed(), { bond: 99n }],
    ["a payer that has nothing left", "account", () => handed(), { balance: 0n }],
    ["a promise over all that was ever deposited", "account", () => handed({ total: 1_000_001n })],
  ];
  for (const [what, outcome, check, change] of refusals)
    test(`it keeps no ${what.replace(/^an? /, "")}`, async () => {
      const one = await setUp();
      if (change) one.state.accounts.set(payerOf(0).address, account(change));
      assert.deepEqual(await one.ask([check()]), [outcome]);
      assert.equal(one.watcher.view().channels, 0);
      // and goes on with who is honest
      one.state.accounts.set(payerOf(0).address, account());
      assert.deepEqual(await one.ask([handed()]), ["kept"]);
      await one.watcher.stop();
    });

  test("nothing that is refused for its form, its fee or its signature costs the chain's RPC a call", async () => {
    const one = await setUp();
    for (const [, outcome, check] of refusals.filter(([, outcome]) => outcome !== "account"))
      assert.deepEqual(await one.ask([check()]), [outcome]);
    assert.equal(one.state.reads, 0);
    await one.watcher.stop();
  });

  test("a message that is too long, or none of these, is not answered", async () => {
    const one = await setUp();
    const good = watchQuestionCodec.encode({ checks: Array.from({ length: 16 }, (_, i) => handed({ salt: i })) });
    assert.ok(good.length <= 8_192, `${good.length} bytes`);
    await assert.rejects(one.askRaw(new Uint8Array(8_193)), { code: "MALFORMED" });
    assert.throws(() => watchQuestionCodec.encode({ checks: [] }));
    assert.throws(() => watchQuestionCodec.encode({ checks: Array.from({ length: 17 }, () => handed()) }));
    for (let end = 0; end < good.length; end += 97) await assert.rejects(one.askRaw(good.slice(0, end)), { code: "MALFORMED" });
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), async (noise) => {
        await assert.rejects(one.askRaw(noise), { code: "MALFORMED" });
      }),
    );
    assert.equal(one.watcher.view().channels, 0);
    await one.watcher.stop();
  });

  test("one peer's flood is put off, another's check is taken all the same, and the flood again in its time", async () => {
    const one = await setUp();
    for (const n of [0, 1]) one.state.accounts.set(payerOf(n).address, account());
    const flood = Array.from({ length: 80 }, (_, i) => handed({ provider: other, salt: i, cumulative: 2n, feeBps: 10_000 }));
    const outcomes: string[] = [];
    for (let i = 0; i < flood.length; i += 16) outcomes.push(...(await one.ask(flood.slice(i, i + 16), other)));
    const kept = outcomes.filter((outcome) => outcome === "kept").length;
    assert.ok(kept > 0 && outcomes.at(-1) === "later", outcomes.join(","));
    assert.equal(one.watcher.view().channels, kept);
    assert.ok(one.state.reads <= 2 * 32, `the chain was asked ${one.state.reads} times`);
    assert.deepEqual(await one.ask([handed({ payer: payerOf(1) })]), ["kept"]);
    await one.pass(60_000);
    assert.deepEqual(await one.ask(flood.slice(-1), other), ["kept"]);
    await one.watcher.stop();
  });

  test("a provider that raises its promises faster than they are worth checking is put off, too", async () => {
    const one = await setUp();
    const outcomes: string[] = [];
    for (let i = 0n; i < 80n; i += 1n) outcomes.push(...(await one.ask([handed({ cumulative: 1_000n + i })])));
    assert.deepEqual([outcomes.filter((outcome) => outcome === "kept").length, outcomes.at(-1)], [64, "later"]);
    await one.pass(1_000);
    assert.deepEqual(await one.ask([handed({ cumulative: 2_000n }), handed({ cumulative: 2_001n })]), ["kept", "later"]);
    await one.watcher.stop();
  });

  test("while the chain cannot be read nobody new is kept; who is known goes on", async () => {
    const one = await setUp();
    assert.deepEqual(await one.ask([handed()]), ["kept"]);
    one.state.down = true;
    assert.deepEqual(await one.ask([handed({ cumulative: 1_500n }), handed({ salt: 8 })]), ["kept", "later"]);
    one.state.down = false;
    await one.pass(10_000);
    assert.deepEqual(await one.ask([handed({ salt: 8 })]), ["kept"]);
    await one.watcher.stop();
  });

  test("a close that comes while the account is being read is not missed", async () => {
    const one = await setUp();
    const read = one.chain.account;
    let isFirst = true;
    one.chain.account = async (signer) => {
      const view = await read(signer);
      if (isFirst) {
        isFirst = false;
        one.state.accounts.set(signer, account({ closeAtMs: nowMs + 72 * hourMs }));
        await one.watcher.take({ type: "closing", signer });
      }
      return view;
    };
    // the watcher was made before `account` was exchanged
    const again = await setUp({ contract: one });
    one.watcher.take = again.watcher.take;
    assert.deepEqual(await again.ask([handed()]), ["kept"]);
    // a review comes at the latest after 72 s
    await again.pass(73_000);
    assert.deepEqual(again.state.transactions, [[keyOf(handed())]]);
    await one.watcher.stop();
    await again.watcher.stop();
  });

  test("when it is full, what has no money behind it goes first, and nothing real for it", async () => {
    const one = await setUp({ options: { room: { all: 3, perProvider: 10, perSigner: 10 } } });
    for (const n of [1, 2, 3, 4]) one.state.accounts.set(payerOf(n).address, account({ balance: 10_000n }));
    const honest = [1, 2].map((n) => handed({ payer: payerOf(n), cumulative: 500n }));
    assert.deepEqual(await one.ask(honest), ["kept", "kept"]);
    // of one deposit of 10,000 the attacker promises itself 10,000 on one channel after another, and the whole as fee
    const greedy = (salt: number, fill = 10_000n) => handed({ provider: other, payer: payerOf(3), salt, cumulative: fill, feeBps: 10_000 });
    assert.deepEqual(await one.ask([greedy(1), greedy(2), greedy(3)], other), ["kept", "full", "full"]);
    assert.deepEqual(await one.ask([handed({ payer: payerOf(4), cumulative: 400n })]), ["full"]);
    assert.deepEqual(await one.ask([handed({ payer: payerOf(4), cumulative: 501n })]), ["kept"]);
    assert.equal(one.watcher.view().channels, 3);
    await one.watcher.stop();
  });
});
