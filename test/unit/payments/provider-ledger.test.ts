import assert from "node:assert/strict";
import { createIdentity } from "../../../src/identity/identity.ts";
import { isMystError } from "../../../src/lib/errors.ts";
import { nextPromise } from "../../../src/payments/channel.ts";
import { promiseDigest } from "../../../src/payments/eip712.ts";
import { groupCommit } from "../../../src/payments/group-commit.ts";
import { channelId, signPromise } from "../../../src/payments/promise.ts";
import { openProviderLedger, type ProviderLedger } from "../../../src/payments/provider-ledger.ts";
import { describe } from "../../support/harness.ts";
import { until } from "../../support/until.ts";
import { account, channel, clockAt, domain, type Fate, memoryStore, nowMs, payer, provider, salt } from "./fixtures.ts";

const stranger = createIdentity(new Uint8Array(32).fill(9));
const ref = { signer: payer.address, channel };
const conditions = { chainReachable: true, limits: { maxUnsettled: 50_000n, minBond: 100n } };
const promiseOf = (cumulative: bigint, n: number) =>
  signPromise(domain, payer, nextPromise({ seq: 0n, total: 0n }, { channel, cumulative: 0n }, cumulative, nowMs + n));
const offer = (cumulative: bigint, n: number, consumed = 0n) => ({
  signer: payer.address,
  peer: payer.peerId,
  salt,
  promise: promiseOf(cumulative, n),
  consumed,
});
const open = async (store = memoryStore()): Promise<ProviderLedger> => {
  const ledger = await openProviderLedger({ store, self: provider.address, clock: clockAt() }, domain);
  if (!ledger.account(payer.address)) await ledger.rememberAccount(payer.address, account());
  return ledger;
};
/** Holds writes back until they are let through. */
function heldStore() {
  const waiting: ((fate: Fate) => void)[] = [];
  const batches: number[] = [];
  const store = memoryStore(new Map(), (ops) => {
    batches.push(ops.length);
    return new Promise<Fate>((resolve) => waiting.push(resolve));
  });
  const begun = async () => {
    while (waiting.length === 0) await new Promise((resolve) => setImmediate(resolve));
  };
  const next = async (fate: Fate = "done") => {
    await begun();
    waiting.shift()?.(fate);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { store, begun, next, batches };
}

describe("payments/provider-ledger: acceptance", (test) => {
  test("the best promise, what is used up and the account's view are there after a restart", async () => {
    const store = memoryStore();
    const ledger = await open(store);
    assert.deepEqual(await ledger.accept(offer(100n, 0), conditions), { accepted: true, fresh: true });
    assert.deepEqual(await ledger.accept(offer(300n, 1, 120n), conditions), { accepted: true, fresh: true });
    await ledger.consume(ref, 250n);
    await ledger.consume(ref, 10n);
    const again = await open(memoryStore(new Map(store.disk)));
    const held = again.channel(ref);
    assert.deepEqual([held?.cumulative, held?.consumed, held?.paid], [300n, 250n, 0n]);
    assert.deepEqual(held?.best, promiseOf(300n, 1));
    assert.deepEqual(again.account(payer.address), account());
    assert.deepEqual(await again.accept(offer(300n, 1), conditions), { accepted: true, fresh: false });
    assert.deepEqual(await again.accept(offer(100n, 0), conditions), { accepted: false, refusal: "stale" });
  });

  test("a promise of one channel is none on another, also where it is known here, and however often it is sent", async () => {
    const ledger = await open();
    await ledger.accept(offer(100n, 0), conditions);
    const refused = { accepted: false, refusal: "wrong-channel" };
    for (const known of [offer(100n, 0), offer(200n, 1)])
      assert.deepEqual(await ledger.accept({ ...known, salt: new Uint8Array(12).fill(4) }, conditions), refused);
    assert.equal(ledger.channel(ref)?.cumulative, 100n);
  });

  test("a refused promise leaves no trace", async () => {
    const store = memoryStore();
    const ledger = await open(store);
    const size = store.disk.size;
    const refused = { ...offer(100n, 0), salt: new Uint8Array(12) };
    assert.deepEqual(await ledger.accept(refused, conditions), { accepted: false, refusal: "wrong-channel" });
    const forged = offer(100n, 0);
    assert.equal((await ledger.accept({ ...forged, promise: { ...forged.promise, total: 101n } }, conditions)).accepted, false);
    for (const signature of [new Uint8Array(64), new Uint8Array(65), stranger.sign(promiseDigest(domain, forged.promise))])
      assert.deepEqual(await ledger.accept({ ...forged, promise: { ...forged.promise, signature } }, conditions), {
        accepted: false,
        refusal: "bad-signature",
      });
    assert.equal(store.disk.size, size);
    assert.equal(ledger.channels().length, 0);
  });

  test("promises that come while a write is under way share the next one, and each waits for the disk", async () => {
    const { store, begun, next, batches } = heldStore();
    const opening = open(store);
    await next();
    const ledger = await opening;
    const done: number[] = [];
    const send = (n: number) => ledger.accept(offer(BigInt(100 * (n + 1)), n), conditions).then(() => done.push(n));
    const all = [send(0)];
    await begun();
    all.push(send(1));
    await until(() => ledger.channel(ref)?.cumulative === 200n);
    all.push(send(2), send(3));
    await until(() => ledger.channel(ref)?.cumulative === 400n);
    assert.deepEqual(done, []);
    await next();
    assert.deepEqual(done, [0]);
    await next();
    await Promise.all(all);
    assert.deepEqual(done.sort(), [0, 1, 2, 3]);
    assert.deepEqual(batches, [1, 1, 1]);
    assert.equal((await open(memoryStore(store.disk))).channel(ref)?.cumulative, 400n);
  });

  test("the same promise sent again while it is being written waits for the disk too", async () => {
    const { store, begun, next } = heldStore();
    const opening = open(store);
    await next();
    const ledger = await opening;
    const first = ledger.accept(offer(100n, 0), conditions);
    await begun();
    let acked = false;
    const again = ledger.accept(offer(100n, 0), conditions).then(() => {
      acked = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(acked, false);
    await next();
    await first;
    await next();
    await again;
    assert.equal(acked, true);
  });

  test("a write that fails takes its promise back, but not a newer one that is being written", async () => {
    const { store, begun, next } = heldStore();
    const opening = open(store);
    await next();
    const ledger = await opening;
    const first = assert.rejects(ledger.accept(offer(100n, 0), conditions));
    await next("lost");
    await first;
    assert.equal(ledger.channel(ref), undefined);
    assert.equal(ledger.unsettled(payer.address), 0n);

    const second = assert.rejects(ledger.accept(offer(100n, 1), conditions));
    await begun();
    const third = ledger.accept(offer(200n, 2), conditions);
    await until(() => ledger.channel(ref)?.cumulative === 200n);
    await next("lost");
    await second;
    assert.equal(ledger.channel(ref)?.cumulative, 200n);
    await next();
    assert.equal((await third).accepted, true);

    const fourth = assert.rejects(ledger.accept(offer(300n, 3), conditions));
    await next("lost");
    await fourth;
    assert.equal(ledger.channel(ref)?.cumulative, 200n);
    assert.equal((await open(memoryStore(store.disk))).channel(ref)?.cumulative, 200n);
  });

  test("what one payer owes is counted over all its channels", async () => {
    const ledger = await open();
    const limits = { maxUnsettled: 1_000n, minBond: 0n };
    await ledger.accept(offer(700n, 0), { ...conditions, limits });
    const otherSalt = new Uint8Array(12).fill(4);
    const other = channelId(provider.address, otherSalt);
    const of = (cumulative: bigint, n: number) => ({
      ...offer(0n, 0),
      salt: otherSalt,
      promise: signPromise(domain, payer, {
        channel: other,
        cumulative,
        total: 700n + cumulative,
        seq: (BigInt(nowMs) << 20n) + BigInt(n),
      }),
    });
    assert.deepEqual(await ledger.accept(of(301n, 1), { ...conditions, limits }), { accepted: false, refusal: "over-limit" });
    assert.equal((await ledger.accept(of(300n, 2), { ...conditions, limits })).accepted, true);
    assert.equal(ledger.unsettled(payer.address), 1_000n);
    await ledger.settled(ref, 700n);
    assert.equal(ledger.unsettled(payer.address), 300n);
    assert.equal((await ledger.accept(of(900n, 3), { ...conditions, limits })).accepted, true);
  });

  test("what was paid never falls", async () => {
    const store = memoryStore();
    const ledger = await open(store);
    await ledger.accept(offer(700n, 0), conditions);
    await ledger.settled(ref, 500n);
    await ledger.settled(ref, 400n);
    assert.equal((await open(store)).channel(ref)?.paid, 500n);
  });

  test("a record that stands under another channel is damage", async () => {
    const store = memoryStore();
    const ledger = await open(store);
    await ledger.accept(offer(700n, 0), conditions);
    await assert.rejects(
      openProviderLedger({ store: memoryStore(moved(store.disk)), self: payer.address, clock: clockAt() }, domain),
      (error: unknown) => isMystError(error, "STORE_CORRUPT"),
    );
  });
});

/** The same records in the table of another provider. */
const moved = (disk: Map<string, Uint8Array>): Map<string, Uint8Array> =>
  new Map([...disk].map(([key, value]) => [key.replace(`/${provider.address}/`, `/${payer.address}/`), value]));

describe("payments/group-commit: one write for many", (test) => {
  test("a later value of a key takes the place of an earlier one, and a failure meets only its own batch", async () => {
    const written: string[][] = [];
    let fail = false;
    const commit = groupCommit(async (ops) => {
      await new Promise((resolve) => setImmediate(resolve));
      written.push(ops.map((op) => `${op.key}=${op.type === "put" ? op.value[0] : ""}`));
      if (fail) throw new Error("no");
    });
    const put = (key: string, value: number) => commit.put({ type: "put", key, value: Uint8Array.of(value) });
    await Promise.all([put("a", 1), put("a", 2), put("b", 3), put("a", 4)]);
    assert.deepEqual(written, [["a=4", "b=3"]]);
    fail = true;
    const lost = assert.rejects(put("a", 5));
    await until(() => written.length === 2);
    const kept = put("b", 6);
    await lost;
    fail = false;
    await kept;
    assert.deepEqual(written.slice(1), [["a=5"], ["b=6"]]);
  });
});
