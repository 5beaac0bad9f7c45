import assert from "node:assert/strict";
import { silentLogger } from "../../../src/lib/ports.ts";
import { closeDelayMs } from "../../../src/payments/clearing-policy.ts";
import { createWriteOffs } from "../../../src/payments/write-offs.ts";
import { describe } from "../../support/harness.ts";
import { account, channel, nowMs } from "./fixtures.ts";
import { fails, fakeChain, promise, refOf, setUp, still, stored, until } from "./settler-rig.ts";

const hourMs = 3_600_000;

describe("payments/settler: a transaction that nobody mines", (test) => {
  test("is replaced with higher fees, each variant on disk with those before it when it is sent, and paid once", async () => {
    const { ledger, settler, events, chain, store } = await setUp();
    const early: unknown[] = [];
    chain.onSubmit = async (raw) => void (stored(store.disk)?.raw === raw || early.push(raw));
    await promise(ledger, 0, 300n);
    chain.trouble = ["stuck", "stuck"];
    settler.requestSettle("session end", refOf(0));
    await until(() => events.length === 1);
    const [first, second, third] = chain.submits;
    assert.deepEqual([first?.earlier, second?.earlier, third?.earlier], [[], [first?.raw], [first?.raw, second?.raw]]);
    assert.equal(new Set(chain.submits.map(({ raw }) => raw)).size, 3);
    assert.deepEqual(early, []);
    assert.equal(events[0]?.paid, 300n);
    await settler.stop();
  });

  test("and after a restart, with all its variants", async () => {
    const first = await setUp();
    await promise(first.ledger, 0, 300n);
    first.chain.trouble = ["stuck"];
    const held = Promise.withResolvers<void>();
    let submits = 0;
    first.chain.onSubmit = async () => {
      submits += 1;
      if (submits === 2) await held.promise;
    };
    first.settler.requestSettle("session end", refOf(0));
    await until(() => submits === 2);
    first.chain.down = true;
    held.resolve();
    await first.settler.stop();
    const pending = stored(first.store.disk);
    assert.equal(pending?.earlier?.length, 1);
    const { chain, settlement } = first;
    chain.down = false;
    const second = await setUp({ store: first.store, fake: { chain, settlement } });
    second.settler.start();
    await until(() => second.events.length === 1);
    assert.deepEqual(chain.submits.at(-1), { raw: pending?.raw, earlier: pending?.earlier });
    await second.settler.stop();
  });

  test("is waited for as it is where more fees do not help, and who asked by hand is told", async () => {
    const { ledger, settler, events, chain } = await setUp();
    chain.raisable = false;
    await promise(ledger, 0, 300n);
    chain.trouble = ["stuck"];
    await assert.rejects(settler.settleNow(), fails("TRANSACTION_STUCK"));
    await until(() => events.length === 1);
    assert.equal(new Set(chain.submits.map(({ raw }) => raw)).size, 1);
    await settler.stop();
  });
});

describe("payments/settler: what clearing may cost", (test) => {
  test("a twentieth of what is cleared, more in a conflict, anything by hand", async () => {
    const { ledger, settler, events, chain } = await setUp();
    await promise(ledger, 0, 300n);
    settler.requestSettle("session end", refOf(0));
    await until(() => events.length === 1);
    await promise(ledger, 1, 300n);
    settler.requestSettle("conflict", refOf(1), "conflict");
    await until(() => events.length === 2);
    await promise(ledger, 2, 300n);
    await settler.settleNow();
    assert.deepEqual(chain.limits, [15n, 300n, undefined]);
    await settler.stop();
  });

  test("while gas is dear it waits and tries again", async () => {
    const { ledger, settler, events, chain } = await setUp();
    chain.dear = true;
    await promise(ledger, 0, 300n);
    settler.requestSettle("session end", refOf(0));
    await still();
    assert.equal(chain.transactions().length, 0);
    chain.dear = false;
    await until(() => events.length === 1);
    await settler.stop();
  });

  test("a payer over its limit has what it owes cleared only where that is worth the gas", async () => {
    const { ledger, settler, events, chain } = await setUp();
    chain.costs = { first: 20n, next: 20n };
    await promise(ledger, 0, 399n);
    settler.consider(refOf(0));
    await settler.relieve(refOf(0).signer);
    assert.equal(events.length, 0);
    await promise(ledger, 0, 400n);
    await settler.relieve(refOf(0).signer);
    assert.equal(events.length, 1);
    await settler.stop();
  });
});

describe("payments/settler: deadlines", (test) => {
  test("what is asked for and not on chain after twelve hours is overdue, until it is", async () => {
    const { ledger, settler, events, chain, clock } = await setUp();
    await promise(ledger, 0, 300n);
    chain.dear = true;
    settler.requestSettle("session end", refOf(0));
    await still();
    clock.ms += 12 * hourMs;
    assert.equal(settler.overdue(), false);
    clock.ms += hourMs;
    assert.equal(settler.overdue(), true);
    chain.dear = false;
    await until(() => events.length === 1);
    clock.ms += 2_000;
    assert.equal(settler.overdue(), false);
    await settler.stop();
  });

  test("what turns out to be paid already, beside what is not, is overdue never", async () => {
    const { ledger, settler, events, chain, clock } = await setUp();
    await promise(ledger, 0, 300n);
    await promise(ledger, 1, 300n);
    chain.paid.set(`${refOf(0).signer}/${channel}`, 300n);
    settler.requestSettle("session end");
    await until(() => events.length === 1);
    clock.ms += 13 * hourMs;
    assert.equal(settler.overdue(), false);
    clock.ms = nowMs;
    await promise(ledger, 0, 1_300n);
    settler.consider(refOf(0));
    await until(() => events.length === 2);
    await settler.stop();
  });

  test("a payer that closes is to be cleared within a day, if it owes more than its gas", async () => {
    const { ledger, settler, chain, clock } = await setUp();
    chain.costs = { first: 40n, next: 20n };
    await promise(ledger, 0, 300n);
    chain.dear = true;
    await ledger.rememberAccount(refOf(0).signer, account({ closeAtMs: nowMs + closeDelayMs }));
    settler.requestSettle("closes", refOf(0), "close");
    await still();
    clock.ms += 11 * hourMs;
    assert.equal(settler.overdue(), false);
    clock.ms += 14 * hourMs;
    assert.equal(settler.overdue(), true);
    await settler.stop();
  });

  test("that day has passed also where nobody has asked for anything yet, as after a time away", async () => {
    const { ledger, settler, clock } = await setUp();
    await promise(ledger, 0, 300n);
    await ledger.rememberAccount(refOf(0).signer, account({ closeAtMs: nowMs + closeDelayMs }));
    clock.ms += 23 * hourMs;
    assert.equal(settler.overdue(), false);
    clock.ms += 2 * hourMs;
    assert.equal(settler.overdue(), true);
    await settler.stop();
  });

  test("what a close leaves that is not worth its gas is written off, on disk, until it is paid after all", async () => {
    const { ledger, settler, chain, store, clock } = await setUp();
    chain.costs = { first: 40n, next: 20n };
    const total = () => createWriteOffs({ ledger, store, log: silentLogger, clock }).total();
    await promise(ledger, 0, 20n);
    await promise(ledger, 1, 20n);
    settler.start();
    await still();
    assert.equal(await total(), 0n);
    await ledger.rememberAccount(refOf(0).signer, account({ closeAtMs: nowMs + closeDelayMs }));
    settler.requestSettle("closes", refOf(0), "close");
    await still();
    assert.equal(await total(), 20n);
    assert.equal(chain.transactions().length, 0);
    assert.equal(settler.overdue(), false);
    await settler.settleNow();
    assert.equal(await total(), 0n);
    await settler.stop();
  });

  test("an account of zeros is none that is empty", async () => {
    const { ledger, settler, chain } = await setUp();
    await promise(ledger, 0, 500n);
    await ledger.rememberAccount(refOf(0).signer, account({ balance: 0n, bond: 0n, line: 0n }));
    settler.start();
    await until(() => chain.transactions().length === 1);
    await settler.stop();
  });

  test("what a payer owes that has taken everything out is written off and not claimed again", async () => {
    const { ledger, settler, chain, store, clock } = await setUp();
    await promise(ledger, 0, 500n);
    await ledger.rememberAccount(refOf(0).signer, account({ closeAtMs: nowMs - 1, balance: 0n, bond: 0n }));
    settler.start();
    await still();
    assert.equal(chain.transactions().length, 0);
    assert.equal(await createWriteOffs({ ledger, store, log: silentLogger, clock }).total(), 500n);
    clock.ms += 100 * hourMs;
    assert.equal(settler.overdue(), false);
    await settler.stop();
  });
});

describe("payments/settler: a chain that takes something back", (test) => {
  test("what a reorganisation has undone is claimed anew", async () => {
    const { ledger, settler, events, chain } = await setUp();
    await promise(ledger, 0, 300n);
    await settler.settleNow();
    chain.paid.clear();
    await settler.reorganised();
    await until(() => events.length === 2);
    assert.deepEqual([ledger.channel(refOf(0))?.paid, chain.paid.get(`${refOf(0).signer}/${channel}`)], [300n, 300n]);
    await settler.stop();
  });

  test("also where nobody tells of the reorganisation, after a restart too; an hour later it is looked after no more", async () => {
    const first = await setUp();
    await promise(first.ledger, 0, 300n);
    await first.settler.settleNow();
    await first.settler.stop();
    const { chain, settlement } = first;
    chain.paid.clear();
    chain.mined.clear();
    const second = await setUp({ store: first.store, fake: { chain, settlement } });
    second.settler.start();
    await until(() => second.events.length === 1);
    assert.deepEqual([second.ledger.channel(refOf(0))?.paid, chain.paid.get(`${refOf(0).signer}/${channel}`)], [300n, 300n]);
    second.clock.ms += hourMs + 1;
    await still();
    assert.equal([...first.store.disk.keys()].filter((key) => key.includes("recent/")).length, 0);
    await second.settler.stop();
  });

  test("an RPC that shows a payment in one answer and none in the next is not taken at its word", async () => {
    const fake = fakeChain();
    const { paid } = fake.settlement;
    let lies = true;
    fake.settlement.paid = async (...args) => (lies && fake.chain.transactions().length > 0 ? 0n : paid(...args));
    const { ledger, settler, events } = await setUp({ fake });
    await promise(ledger, 0, 300n);
    await assert.rejects(settler.settleNow(), fails("RPC_STALE"));
    assert.equal(events.length, 0);
    lies = false;
    await until(() => events.length === 1);
    assert.deepEqual([ledger.channel(refOf(0))?.paid, fake.chain.transactions().length], [300n, 1]);
    await settler.stop();
  });
});
