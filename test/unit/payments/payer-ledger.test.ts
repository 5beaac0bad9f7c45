import assert from "node:assert/strict";
import { type ErrorCode, isMystError } from "../../../src/lib/errors.ts";
import { openPayerLedger } from "../../../src/payments/payer-ledger.ts";
import { channelId, promiseSigner, signPromise } from "../../../src/payments/promise.ts";
import { signerRecord } from "../../../src/payments/records.ts";
import { describe } from "../../support/harness.ts";
import { account, clockAt, domain, type Fate, memoryStore, nowMs, payer, provider } from "./fixtures.ts";

const exit = { address: provider.address, peer: provider.peerId };
const line = 1_000_000n;
const code = (expected: ErrorCode) => (error: unknown) =>
  isMystError(error, expected) && (error.code === "INTERNAL" || Boolean(error.hint));
const open = (store = memoryStore(), clock = clockAt()) => openPayerLedger({ store, identity: payer, clock }, domain);
/** An open ledger with one promise of 100 on one channel. */
async function begun(store = memoryStore()) {
  const ledger = await open(store);
  await ledger.reconcile(account({ line: 0n, balance: 0n }));
  const { channel } = await ledger.channelWith(exit);
  const promise = await ledger.promise({ channel, cumulative: 100n, consumed: 0n, line });
  assert.ok(promise);
  return { ledger, channel, promise, store };
}

describe("payments/payer-ledger: promises", (test) => {
  test("are on disk when they are handed out, and come back to the letter", async () => {
    const { channel, promise, store } = await begun();
    assert.equal(promiseSigner(domain, promise), payer.address);
    const again = await open(memoryStore(new Map(store.disk)));
    assert.deepEqual(again.channel(channel)?.last, promise);
    assert.deepEqual(again.totals(), { seq: promise.seq, total: 100n, standing: "open" });
    assert.deepEqual(await again.promise({ channel, cumulative: 100n, consumed: 0n, line }), promise);
  });

  test("one batch holds the signer's mark and the channel", async () => {
    const { ledger, channel, store } = await begun();
    const before = store.disk.size;
    let batches = 0;
    const counting = memoryStore(store.disk, (ops) => {
      batches += 1;
      assert.equal(ops.length, 2);
      return "done";
    });
    const again = await open(counting);
    await again.promise({ channel, cumulative: 200n, consumed: 150n, line });
    assert.deepEqual([batches, store.disk.size], [1, before]);
    assert.equal(again.channel(channel)?.consumed, 150n);
    assert.equal(ledger.channel(channel)?.cumulative, 100n);
  });

  test("share one running total over all channels; a channel is kept per provider", async () => {
    const { ledger, channel } = await begun();
    const other = await ledger.channelWith({ address: `0x${"0b".repeat(20)}`, peer: "16Uiu2" });
    assert.notEqual(other.channel, channel);
    assert.equal(other.channel, channelId(other.provider, other.salt));
    assert.equal((await ledger.channelWith(exit)).channel, channel);
    const promise = await ledger.promise({ channel: other.channel, cumulative: 7n, consumed: 0n, line });
    assert.deepEqual([promise?.cumulative, promise?.total], [7n, 107n]);
  });

  test("asked for at once they come one after another, with rising seq, also when the clock goes back", async () => {
    const clock = clockAt();
    const ledger = await open(memoryStore(), clock);
    await ledger.begin();
    const { channel } = await ledger.channelWith(exit);
    const asked = [10n, 20n, 30n].map((cumulative) => ledger.promise({ channel, cumulative, consumed: 0n, line }));
    clock.ms = nowMs - 3_600_000;
    const seqs = (await Promise.all(asked)).map((promise) => promise?.seq ?? 0n);
    const later = await ledger.promise({ channel, cumulative: 40n, consumed: 0n, line });
    assert.deepEqual(
      [...seqs, later?.seq].map((seq, i, all) => i === 0 || (seq ?? 0n) > (all[i - 1] ?? 0n)),
      [true, true, true, true],
    );
  });

  test("never go over the line, never fall, never go without a channel", async () => {
    const { ledger, channel } = await begun();
    await assert.rejects(ledger.promise({ channel, cumulative: 151n, consumed: 0n, line: 150n }), code("INSUFFICIENT_FUNDS"));
    assert.equal((await ledger.promise({ channel, cumulative: 150n, consumed: 0n, line: 150n }))?.total, 150n);
    await assert.rejects(ledger.promise({ channel, cumulative: 149n, consumed: 0n, line }), code("INTERNAL"));
    await assert.rejects(ledger.promise({ channel: `0x${"00".repeat(32)}`, cumulative: 1n, consumed: 0n, line }), code("INTERNAL"));
  });

  test("a write that fails hands nothing out, and its seq is never used again", async () => {
    const { channel, promise, store } = await begun();
    let fate: Fate = "lost";
    const ledger = await open(memoryStore(store.disk, () => fate));
    await assert.rejects(ledger.promise({ channel, cumulative: 200n, consumed: 0n, line }));
    assert.equal(ledger.channel(channel)?.cumulative, 100n);
    fate = "done";
    const next = await ledger.promise({ channel, cumulative: 150n, consumed: 0n, line });
    assert.deepEqual([next?.seq, next?.total], [promise.seq + 2n, 150n]);
  });

  test("what is used up never falls and never exceeds what is promised", async () => {
    const { ledger, channel, store } = await begun();
    await ledger.consume(channel, 60n);
    await ledger.consume(channel, 40n);
    assert.equal(ledger.channel(channel)?.consumed, 60n);
    await ledger.consume(channel, 400n);
    assert.equal((await open(store)).channel(channel)?.consumed, 100n);
  });
});

describe("payments/payer-ledger: the high-water mark", (test) => {
  const refuses = async (ledger: Awaited<ReturnType<typeof open>>, expected: ErrorCode) => {
    const { channel } = await ledger.channelWith(exit);
    await assert.rejects(ledger.promise({ channel, cumulative: 10_000n, consumed: 0n, line }), code(expected));
  };

  test("a new key signs nothing until the chain has said that it is new", async () => {
    const ledger = await open();
    await refuses(ledger, "RPC_UNREACHABLE");
    await ledger.reconcile(account({ line: 0n, balance: 0n }));
    assert.equal(ledger.totals().standing, "open");
    // its own deposit, later
    await ledger.reconcile(account());
    assert.equal(ledger.account()?.line, 1_000_000n);
  });

  test("an account without its ledger signs nothing, now and after a restart", async () => {
    const store = memoryStore();
    const ledger = await open(store);
    await assert.rejects(ledger.reconcile(account()), code("LEDGER_BEHIND"));
    await refuses(ledger, "LEDGER_BEHIND");
    const again = await open(store);
    await refuses(again, "LEDGER_BEHIND");
    await assert.rejects(again.reconcile(account({ line: 0n, balance: 0n })), code("LEDGER_BEHIND"));
  });

  test("nor does one of which the chain has paid more than was promised, in all or on a channel", async () => {
    const all = await begun();
    await all.ledger.reconcile(account({ balance: 999_900n }), new Map([[all.channel, 100n]]));
    await assert.rejects(all.ledger.reconcile(account({ balance: 999_899n })), code("LEDGER_BEHIND"));
    await refuses(all.ledger, "LEDGER_BEHIND");
    for (const unknown of [false, true]) {
      const one = await begun();
      const paid = new Map([[unknown ? (`0x${"00".repeat(32)}` as const) : one.channel, 101n]]);
      await assert.rejects(one.ledger.reconcile(account(), paid), code("LEDGER_BEHIND"));
    }
  });

  test("nor one that is shown a promise of its own that it lacks; what it knows and what is not its own changes nothing", async () => {
    const known = await begun();
    await known.ledger.shown(known.promise);
    await known.ledger.shown(signPromise(domain, provider, { ...known.promise, cumulative: 999n }));
    await known.ledger.shown({ ...known.promise, cumulative: 999n });
    assert.equal(known.ledger.totals().standing, "open");
    const lacking = [
      { seq: known.promise.seq + 1n },
      { seq: known.promise.seq - 1n, total: 101n },
      { cumulative: 101n },
      { channel: `0x${"00".repeat(32)}` as const },
      { cumulative: 99n },
    ];
    for (const change of lacking) {
      const { ledger, store } = await begun(memoryStore(new Map()));
      const own = ledger.channels()[0]?.last;
      assert.ok(own);
      await assert.rejects(ledger.shown(signPromise(domain, payer, { ...own, ...change })), code("LEDGER_BEHIND"));
      await refuses(await open(store), "LEDGER_BEHIND");
    }
  });

  test("one that may not be the newest signs nothing until somebody says that it is, also after a restart", async () => {
    const { ledger, channel, promise, store } = await begun();
    await ledger.suspect();
    const next = { channel, cumulative: 200n, consumed: 0n, line };
    await assert.rejects(ledger.promise(next), code("LEDGER_BEHIND"));
    const again = await open(store);
    await assert.rejects(again.promise(next), (error) => isMystError(error, "LEDGER_BEHIND") && /wallet adopt/.test(error.hint ?? ""));
    await again.reconcile(account());
    await assert.rejects(again.promise(next), code("LEDGER_BEHIND"));
    assert.equal(await again.adopt(account({ balance: line - 100n })), true);
    assert.equal(await again.adopt(account()), false);
    assert.ok(((await again.promise(next))?.seq ?? 0n) > promise.seq);
    assert.equal((await open(store)).totals().standing, "open");
  });

  test("nobody's word counts for more than what the chain or a promise shows", async () => {
    for (const [found, standing, refusal] of [
      [account({ balance: line - 101n }), "behind", "LEDGER_BEHIND"],
      [account({ closeAtMs: nowMs }), "closing", "ACCOUNT_CLOSING"],
    ] as const) {
      const { ledger } = await begun();
      await ledger.suspect();
      await assert.rejects(ledger.adopt(found), code(refusal));
      assert.equal(ledger.totals().standing, standing);
    }
    const { ledger, promise } = await begun();
    await ledger.suspect();
    await assert.rejects(ledger.shown(signPromise(domain, payer, { ...promise, cumulative: 150n, total: 150n, seq: promise.seq + 1n })));
    assert.equal(await ledger.adopt(account()), false);
    assert.equal(ledger.totals().standing, "behind");
    // who has promised nothing and has no account has nothing to lose
    const fresh = await open();
    await fresh.suspect();
    assert.equal(fresh.totals().standing, "unproven");
  });

  test("nothing is signed after a close, by us or by the owner", async () => {
    const ours = await begun();
    await ours.ledger.close();
    await refuses(ours.ledger, "ACCOUNT_CLOSING");
    await refuses(await open(ours.store), "ACCOUNT_CLOSING");
    const owners = await begun();
    await owners.ledger.reconcile(account({ closeAtMs: nowMs + 1 }));
    await refuses(await open(owners.store), "ACCOUNT_CLOSING");
    // withdrawn: nothing is left, which accuses nobody
    await owners.ledger.reconcile(account({ closeAtMs: nowMs + 1, balance: 0n }));
    assert.equal(owners.ledger.totals().standing, "closing");
  });

  test("a close that cannot be written down still ends the signing", async () => {
    const { store } = await begun();
    const ledger = await open(memoryStore(store.disk, () => "lost"));
    await assert.rejects(ledger.close());
    await assert.rejects(
      ledger.promise({ channel: ledger.channels()[0]?.channel ?? "0x", cumulative: 200n, consumed: 0n, line }),
      code("ACCOUNT_CLOSING"),
    );
  });

  test("records that contradict each other are damage, not a state to sign from", async () => {
    const { store, channel } = await begun();
    const signerKey = [...store.disk.keys()].find((key) => key.endsWith("/signer")) as string;
    const channelKey = [...store.disk.keys()].find((key) => key.includes(channel)) as string;
    const older = new Map(store.disk);
    const ledger = await open(memoryStore(store.disk));
    await ledger.promise({ channel, cumulative: 200n, consumed: 0n, line });
    const corrupt = code("STORE_CORRUPT");
    const withRecord = (key: string, value: Uint8Array | undefined) => {
      const disk = new Map(store.disk);
      if (value) disk.set(key, value);
      else disk.delete(key);
      return open(memoryStore(disk));
    };
    await assert.rejects(withRecord(signerKey, older.get(signerKey)), corrupt);
    await assert.rejects(withRecord(signerKey, undefined), corrupt);
    const { seq } = ledger.totals();
    for (const mark of [
      { seq: seq - 1n, total: 200n },
      { seq, total: 199n },
    ])
      await assert.rejects(withRecord(signerKey, signerRecord.encode({ ...mark, standing: "open" })), corrupt);
    await assert.rejects(withRecord(channelKey, Uint8Array.of(1, 2, 3)), corrupt);
    await assert.rejects(withRecord(signerKey, store.disk.get(signerKey)?.slice(0, 10)), corrupt);
  });

  test("another key or another contract in the same directory has a ledger of its own", async () => {
    const { store } = await begun();
    const stranger = await openPayerLedger({ store, identity: provider, clock: clockAt() }, domain);
    assert.deepEqual([stranger.totals().standing, stranger.channels().length], ["unproven", 0]);
    const elsewhere = await openPayerLedger({ store, identity: payer, clock: clockAt() }, { ...domain, contract: `0x${"c2".repeat(20)}` });
    assert.equal(elsewhere.totals().standing, "unproven");
  });
});
