import assert from "node:assert/strict";
import { describe } from "../../support/harness.ts";
import { account, memoryStore, nowMs } from "../payments/fixtures.ts";
import { dayMs, fakeContract, handed, hourMs, identityOf, keyOf, payerOf, providerIdentity, setUp, turns, virtualClock } from "./rig.ts";

const signer = payerOf(0).address;
const closes = account({ closeAtMs: nowMs + 3 * dayMs });
/** the payer closes, and the watcher hears of it */
const close = async ({ state, watcher }: Awaited<ReturnType<typeof setUp>>) => {
  state.accounts.set(signer, closes);
  await watcher.take({ type: "closing", signer });
};

describe("watch/watcher: clears for who is away", (test) => {
  test("a payer closes: once, for the fee, and the channel is kept no longer than a reorganisation might undo it", async () => {
    const one = await setUp();
    assert.deepEqual(await one.ask([handed()]), ["kept"]);
    await one.pass(dayMs);
    assert.deepEqual(one.state.transactions, []);
    one.state.accounts.set(signer, closes);
    for (let i = 0; i < 3; i += 1) await one.watcher.take({ type: "closing", signer });
    await turns();
    assert.deepEqual(one.state.transactions, [[keyOf(handed())]]);
    assert.deepEqual(one.watcher.view(), { feeBps: 200, channels: 0, providers: 0, amount: 0n, cleared: 1, earned: 20n });
    for (let i = 0; i < 20; i += 1) await one.pass(10 * 60_000);
    assert.equal(one.state.transactions.length, 1);
    assert.deepEqual(
      [...one.store.disk.keys()].filter((key) => key.includes("/check/") || key.includes("/account/")),
      [],
    );
    await one.watcher.stop();
  });

  for (const clears of [true, false])
    test(`a provider that is here has a day: ${clears ? "what it clears itself costs no fee" : "then it is cleared for"}`, async () => {
      const one = await setUp();
      await one.ask([handed()]);
      one.here.add(providerIdentity.peerId);
      await close(one);
      await one.pass(23 * hourMs);
      assert.deepEqual(one.state.transactions, []);
      if (clears) {
        one.state.paid.set(keyOf(handed()), 1_000n);
        await one.watcher.take({ type: "cleared", signer, channel: handed().promise.channel });
      }
      await one.pass(hourMs + 1);
      assert.deepEqual(one.state.transactions, clears ? [] : [[keyOf(handed())]]);
      await one.watcher.stop();
    });

  test("a close while the watcher itself is away is seen to at its next start, from what is on its disk", async () => {
    const store = memoryStore();
    const contract = fakeContract();
    const one = await setUp({ store, contract });
    await one.ask([handed()]);
    await one.watcher.stop();
    contract.state.accounts.set(signer, closes);
    const time = virtualClock(nowMs + hourMs);
    const again = await setUp({ store, contract, time });
    await again.watcher.take({ type: "closing", signer });
    await turns();
    assert.deepEqual(contract.state.transactions, [[keyOf(handed())]]);
    await again.watcher.stop();
  });

  test("an event that was never told is found out by looking, in good time", async () => {
    const one = await setUp();
    await one.ask([handed()]);
    one.state.accounts.set(signer, closes);
    await one.pass(5 * hourMs);
    assert.deepEqual(one.state.transactions, []);
    await one.pass(hourMs);
    await one.pass(2 * 60_000);
    assert.deepEqual(one.state.transactions, [[keyOf(handed())]]);
    await one.watcher.stop();
  });

  test("channels of several providers go in one transaction, which may cost what their fees bring", async () => {
    const one = await setUp();
    const other = identityOf(77);
    one.state.costs = { first: 40n, next: 10n };
    assert.deepEqual(await one.ask([handed({ salt: 1 })]), ["kept"]);
    assert.deepEqual(await one.ask([handed({ provider: other, cumulative: 2_000n, feeBps: 300 })], other), ["kept"]);
    await close(one);
    await turns();
    assert.deepEqual(
      one.state.transactions.map((keys) => keys.length),
      [2],
    );
    assert.deepEqual(one.state.limits, [20n + 60n]);
    assert.equal(one.watcher.view().earned, 80n);
    await one.watcher.stop();
  });

  test("while gas costs more than the fee it waits, and clears when it has become cheaper", async () => {
    const one = await setUp();
    one.state.costs = { first: 21n, next: 10n };
    await one.ask([handed()]);
    await close(one);
    await one.pass(hourMs);
    assert.deepEqual(one.state.transactions, []);
    one.state.costs = { first: 20n, next: 10n };
    await one.pass(2 * 60_000);
    assert.equal(one.state.transactions.length, 1);
    await one.watcher.stop();
  });

  test("the raw transaction is on disk before it is sent; one that a crash left is sent again by the next start, and counts once", async () => {
    const contract = fakeContract();
    const seen: boolean[] = [];
    const store = memoryStore();
    const submit = contract.chain.submit;
    let crash = true;
    contract.chain.submit = async (...args) => {
      seen.push([...store.disk.keys()].some((key) => key.endsWith("/pending")));
      const receipt = await submit(...args);
      if (crash) throw new Error("the process dies before it hears of it");
      return receipt;
    };
    const one = await setUp({ store, contract });
    await one.ask([handed()]);
    contract.state.accounts.set(signer, closes);
    await one.watcher.take({ type: "closing", signer });
    await turns();
    await one.watcher.stop();
    assert.deepEqual(seen, [true]);
    crash = false;
    // nothing new would be worth it now
    contract.state.costs = { first: 1_000n, next: 1_000n };
    const again = await setUp({ store, contract });
    await turns();
    assert.equal(seen.length, 2);
    assert.equal(again.watcher.view().channels, 0);
    assert.ok(![...store.disk.keys()].some((key) => key.endsWith("/pending")));
    assert.equal(contract.state.paid.get(keyOf(handed())), 1_000n);
    await again.watcher.stop();
  });

  test("what the chain did not take while its check was good is not sent after", async () => {
    const one = await setUp();
    await one.ask([handed({ deadlineMs: nowMs + 5 * dayMs })]);
    one.state.accounts.set(signer, account({ closeAtMs: nowMs + 7 * dayMs }));
    await one.watcher.take({ type: "closing", signer });
    one.state.dear = true;
    await one.pass(4 * dayMs + hourMs);
    assert.ok(one.state.limits.length > 0);
    one.state.dear = false;
    await one.pass(dayMs);
    await one.pass(10 * 60_000);
    assert.deepEqual(one.state.transactions, []);
    await one.watcher.stop();
  });

  test("a clearing that a reorganisation undoes is made again", async () => {
    const one = await setUp();
    await one.ask([handed()]);
    await close(one);
    await turns();
    assert.equal(one.state.transactions.length, 1);
    one.state.paid.clear();
    one.state.mined.clear();
    await one.pass(2 * 60_000);
    await one.pass(2 * 60_000);
    assert.equal(one.state.transactions.length, 2);
    assert.equal(one.state.paid.get(keyOf(handed())), 1_000n);
    await one.watcher.stop();
  });

  test("what a reorganisation takes back of a provider's own clearing is watched again", async () => {
    const one = await setUp();
    await one.ask([handed()]);
    one.state.paid.set(keyOf(handed()), 1_000n);
    await one.watcher.take({ type: "cleared", signer, channel: handed().promise.channel });
    assert.equal(one.watcher.view().channels, 0);
    one.state.paid.clear();
    one.state.accounts.set(signer, closes);
    await one.watcher.reorganised();
    assert.equal(one.watcher.view().channels, 1);
    await one.pass(2 * 60_000);
    assert.deepEqual(one.state.transactions, [[keyOf(handed())]]);
    await one.watcher.stop();
  });

  test("a damaged record is told of, and not taken for none", async () => {
    const one = await setUp();
    await one.ask([handed(), handed({ salt: 8 })]);
    await one.watcher.stop();
    const [a, b] = [...one.store.disk.keys()].filter((key) => key.includes("/check/"));
    const ofB = one.store.disk.get(b ?? "") as Uint8Array;
    for (const bytes of [ofB.slice(1), ofB])
      await assert.rejects(setUp({ store: memoryStore(new Map(one.store.disk).set(a ?? "", bytes)) }), { code: "STORE_CORRUPT" });
  });

  test("a check that has ended is let go, unsubmitted", async () => {
    const one = await setUp();
    one.state.costs = { first: 10_000n, next: 10_000n };
    await one.ask([handed({ deadlineMs: nowMs + 5 * dayMs })]);
    await one.pass(5 * dayMs + 2 * 60_000);
    assert.equal(one.watcher.view().channels, 0);
    assert.deepEqual(
      [...one.store.disk.keys()].filter((key) => key.includes("/check/")),
      [],
    );
    await one.watcher.stop();
  });

  test("a check that is not renewed is cleared three days before its end although nobody closes", async () => {
    const one = await setUp();
    await one.ask([handed()]);
    await one.pass(27 * dayMs - hourMs);
    assert.deepEqual(one.state.transactions, []);
    await one.pass(hourMs);
    assert.equal(one.state.transactions.length, 1);
    await one.watcher.stop();
  });
});
