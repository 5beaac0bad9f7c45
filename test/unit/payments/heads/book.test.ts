import assert from "node:assert/strict";
import { createIdentity, type Identity } from "../../../../src/identity/identity.ts";
import type { Hex } from "../../../../src/lib/codec.ts";
import { silentLogger } from "../../../../src/lib/ports.ts";
import { type Conflict, type HeadBook, openHeadBook } from "../../../../src/payments/heads/book.ts";
import { type AccountEvent, openDepositors } from "../../../../src/payments/heads/depositors.ts";
import { type SignedPromise, signPromise } from "../../../../src/payments/promise.ts";
import { describe } from "../../../support/harness.ts";
import { clockAt, domain, memoryStore, nowMs, payer } from "../fixtures.ts";

const channel = (index: number): Hex => `0x${index.toString(16).padStart(64, "0")}`;
const seqAt = (ms: number) => BigInt(ms) << 20n;
const promise = (index: number, cumulative: bigint, total: bigint, atMs = nowMs, by: Identity = payer): SignedPromise =>
  signPromise(domain, by, { channel: channel(index), cumulative, total, seq: seqAt(atMs) + BigInt(index) });
const cleared = (index: number, cumulative: bigint, block: number, atMs = nowMs) => ({
  ...{ signer: payer.address, channel: channel(index), cumulative, total: cumulative, seq: seqAt(atMs) + BigInt(index), block },
  // as an event has it
  ...{ type: "cleared", paid: 1n, hash: "0x00", logIndex: 0 },
});

type Rig = { book: HeadBook; store: ReturnType<typeof memoryStore>; clock: ReturnType<typeof clockAt>; conflicts: Conflict[] };
async function open(
  store = memoryStore(),
  {
    maxChannels,
    random,
    owes = () => false,
    clock = clockAt(),
  }: { maxChannels?: number; random?: () => number; owes?: (signer: Hex) => boolean; clock?: Rig["clock"] } = {},
): Promise<Rig> {
  const deps = { store: { ...store, writeLazily: store.write }, clock, log: silentLogger, owes };
  const book = await openHeadBook(deps, { ...(maxChannels !== undefined && { maxChannels }), ...(random && { random }) });
  const conflicts: Conflict[] = [];
  book.onConflict((conflict) => conflicts.push(conflict));
  return { book, store, clock, conflicts };
}
const again = ({ store, clock }: Rig, options = {}) => open(memoryStore(new Map(store.disk)), { clock, ...options });
const comparable = (book: HeadBook, signer = payer.address) => {
  const heads = book.of(signer);
  return heads && { ...heads, channels: [...heads.channels].sort(([a], [b]) => (a < b ? -1 : 1)) };
};

describe("payments/heads: the book", (test) => {
  test("all that is known of a signer is there after a restart", async () => {
    const rig = await open();
    for (const index of [1, 2, 3]) rig.book.take(payer.address, promise(index, 10n, 100n));
    await rig.store.write(rig.book.takeCleared(undefined, [cleared(4, 5n, 9, nowMs - 2), cleared(1, 4n, 8, nowMs - 2)]));
    await rig.book.save();
    const next = await again(rig);
    assert.deepEqual(comparable(next.book), comparable(rig.book));
    assert.equal(next.book.counted(payer.address, channel(1)), 2);
    assert.equal(next.book.relation(payer.address, promise(1, 10n, 100n)), "known");
  });

  test("a conflict is on disk at once, told of once, and known for good", async () => {
    const rig = await open();
    rig.book.take(payer.address, promise(1, 10n, 10n));
    rig.book.take(payer.address, promise(2, 10n, 15n));
    rig.book.take(payer.address, promise(3, 10n, 15n));
    assert.equal(rig.conflicts.length, 1);
    assert.deepEqual(rig.conflicts[0], { signer: payer.address, sinceMs: nowMs, heads: [promise(2, 10n, 15n), promise(1, 10n, 10n)] });
    await new Promise((resolve) => setImmediate(resolve));
    const next = await again(rig, { clock: clockAt(nowMs + 1_000) });
    assert.deepEqual(next.book.conflicts(), rig.conflicts);
    assert.equal(next.conflicts.length, 0);
  });

  test("what was told as evidence stays, though the heads themselves are not held", async () => {
    const rig = await open();
    rig.book.accuse(payer.address, [promise(2, 10n, 15n), promise(1, 10n, 10n)]);
    rig.book.accuse(payer.address, [promise(3, 10n, 15n), promise(4, 10n, 10n)]);
    assert.equal(rig.conflicts.length, 1);
    await new Promise((resolve) => setImmediate(resolve));
    const next = await again(rig);
    assert.deepEqual(next.book.conflicts(), rig.conflicts);
  });

  test("what the contract has cleared is written with the place up to which was read, and forgotten with its block", async () => {
    const rig = await open();
    rig.book.take(payer.address, promise(2, 10n, 15n, nowMs + 1));
    const ops = rig.book.takeCleared(undefined, [cleared(1, 10n, 9)]);
    assert.equal(rig.conflicts.length, 1);
    assert.ok(ops.length > 0);
    await rig.store.write(ops);
    const next = await again(rig);
    assert.equal(next.book.conflicts()[0]?.heads.length, 2);
    await next.store.write(next.book.takeCleared(8, []));
    assert.deepEqual(next.book.conflicts(), []);
    const last = await again(next);
    assert.deepEqual(last.book.conflicts(), []);
    assert.deepEqual([...(last.book.of(payer.address)?.channels.keys() ?? [])], [channel(2)]);
    // read again, from the chain as it is now
    await last.store.write(last.book.takeCleared(undefined, [cleared(1, 10n, 10)]));
    assert.equal(last.book.conflicts().length, 1);
  });

  test("a channel counts as in use for ten minutes after news of it, and not for old promises that somebody digs out", async () => {
    const rig = await open();
    rig.book.take(payer.address, promise(1, 10n, 100n));
    rig.book.take(payer.address, promise(2, 10n, 100n, nowMs - 1_200_001));
    assert.equal(rig.book.counted(payer.address, channel(9)), 1);
    assert.equal(rig.book.counted(payer.address, channel(1)), 0);
    rig.clock.ms += 600_000;
    assert.equal(rig.book.counted(payer.address, channel(9)), 1);
    // told again it is no news
    rig.book.take(payer.address, promise(1, 10n, 100n));
    rig.clock.ms += 1;
    assert.equal(rig.book.counted(payer.address, channel(9)), 0);
  });

  test("when there are too many, those go whose channels are drawn; never who owes here, nor who lies", async () => {
    const people = Array.from({ length: 40 }, (_, i) => createIdentity(new Uint8Array(32).fill(i + 1)));
    const [greedy, debtor, liar, ...honest] = people as [Identity, Identity, Identity, ...Identity[]];
    let seed = 7;
    const random = () => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed / 2_147_483_648;
    };
    const rig = await open(memoryStore(), { maxChannels: 200, random, owes: (signer) => signer === debtor.address });
    const take = (by: Identity, index: number, total = 1_000n) => rig.book.take(by.address, promise(index, 1n, total, nowMs, by));
    for (let index = 0; index < 20; index += 1) take(debtor, index);
    for (let index = 0; index < 20; index += 1) take(liar, index, 0n);
    for (const one of honest) take(one, 1);
    // alone it would fill three quarters of the book
    for (let index = 0; index < 150; index += 1) take(greedy, index);
    const kept = (all: Identity[]) => all.filter(({ address }) => rig.book.of(address));
    assert.deepEqual([kept([debtor]).length, kept([liar]).length], [1, 1]);
    assert.ok((rig.book.of(greedy.address)?.channels.size ?? 0) < 100);
    assert.ok(kept(honest).length >= honest.length - 8, `${kept(honest).length} of ${honest.length} are left`);
    await rig.book.save();
    const next = await again(rig);
    assert.deepEqual(comparable(next.book, greedy.address), comparable(rig.book, greedy.address));
    assert.deepEqual(comparable(next.book, debtor.address), comparable(rig.book, debtor.address));
  });
});

describe("payments/heads: the book when it is full", (test) => {
  test("who owes here and who lies stays, although the lot falls on them again and again", async () => {
    const [debtor, liar, ...others] = Array.from({ length: 60 }, (_, i) => createIdentity(new Uint8Array(32).fill(i + 1)));
    assert.ok(debtor && liar);
    const { book } = await open(memoryStore(), { maxChannels: 50, random: () => 0, owes: (signer) => signer === debtor.address });
    book.take(debtor.address, promise(1, 1n, 9n, nowMs, debtor));
    for (const index of [1, 2]) book.take(liar.address, promise(index, 1n, 0n, nowMs, liar));
    for (const one of others) book.take(one.address, promise(1, 1n, 9n, nowMs, one));
    assert.ok(book.of(debtor.address) && book.of(liar.address)?.evidence);
    assert.ok(others.some(({ address }) => !book.of(address)));
  });
});

describe("payments/heads: depositors", (test) => {
  const events = (...all: [AccountEvent["type"], number, bigint?][]): AccountEvent[] =>
    all.map(([type, block, bond = 0n]) => ({ type, signer: payer.address, block, bond }) as AccountEvent);
  const openOn = (store = memoryStore(), clock = clockAt()) => ({ store, clock, depositors: openDepositors({ store, clock }) });

  test("whoever has deposited is known, from disk too, and new for a minute", async () => {
    const { store, clock, depositors } = openOn();
    assert.equal(await depositors.has(payer.address), false);
    await store.write(await depositors.take(undefined, events(["deposited", 5, 10n])));
    assert.deepEqual([await depositors.has(payer.address), depositors.isNew(payer.address)], [true, true]);
    clock.ms += 60_000;
    assert.equal(depositors.isNew(payer.address), false);
    const next = openOn(memoryStore(new Map(store.disk)));
    assert.deepEqual([await next.depositors.has(payer.address), next.depositors.isNew(payer.address)], [true, false]);
  });

  test("a bond adds up, and counts no more once it closes or burns", async () => {
    const { store, depositors } = openOn();
    const take = async (...all: Parameters<typeof events>) => store.write(await depositors.take(undefined, events(...all)));
    await take(["deposited", 5, 10n], ["deposited", 6, 5n]);
    assert.deepEqual([await depositors.isBonded(payer.address, 15n), await depositors.isBonded(payer.address, 16n)], [true, false]);
    await take(["bondBurned", 7]);
    assert.equal(await depositors.isBonded(payer.address, 1n), false);
    await take(["deposited", 8, 20n], ["closing", 9]);
    assert.equal(await depositors.isBonded(payer.address, 1n), false);
    assert.equal(await depositors.has(payer.address), true);
  });

  test("a first deposit whose block is undone makes nobody known", async () => {
    const { store, depositors } = openOn();
    await store.write(await depositors.take(undefined, events(["deposited", 5, 10n])));
    await store.write(await depositors.take(5, []));
    assert.equal(await depositors.has(payer.address), true);
    await store.write(await depositors.take(4, []));
    assert.equal(await depositors.has(payer.address), false);
    await store.write(await depositors.take(undefined, events(["deposited", 6, 10n])));
    assert.equal(await depositors.has(payer.address), true);
  });
});
