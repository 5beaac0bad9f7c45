import assert from "node:assert/strict";
import { channelId } from "../../../src/payments/promise.ts";
import { type OwnChannel, openOwnEvidence } from "../../../src/reputation/own.ts";
import { checkPayer, encodePair } from "../../../src/reputation/record.ts";
import { maxValues, nothingSeen, type OwnSession, recordsToTell, together, withSession } from "../../../src/reputation/telling.ts";
import { describe } from "../../support/harness.ts";
import { alice, epoch, exit, fakeClock, indexed, market, memoryStore, saltOf, startMs, weekMs } from "./fixtures.ts";

const session = (change: Partial<OwnSession> = {}): OwnSession => ({
  provider: exit(1),
  endedMs: startMs,
  failed: false,
  flags: 0,
  ...change,
});
const channelTo = (number: number, salt = number): OwnChannel => ({
  provider: exit(number),
  salt: saltOf(salt),
  channel: channelId(exit(number), saltOf(salt)),
});
const hourMs = 3_600_000;

async function node(channels = [channelTo(1)], delayMs = 2 * hourMs) {
  const [store, clock] = [memoryStore(), fakeClock()];
  const { index, tell, cleared } = indexed();
  const again = () =>
    openOwnEvidence({
      ...{ store, table: store.table("own"), index, channels: () => channels, identity: alice, network: market, clock },
      delayMs: () => delayMs,
    });
  const pay = (paid: bigint, more: { atMs?: number; salt?: number } = {}) =>
    tell([cleared(alice.address, exit(1), saltOf(more.salt ?? 1), paid, { atMs: more.atMs ?? startMs, block: Number(paid) })]);
  return { own: await again(), again, clock, pay, store, channels };
}

describe("reputation/telling: what there is to tell", (test) => {
  test("sessions are told with the money of their week, else of the next that has any; without money nothing is", () => {
    const seen = new Map([epoch - 3, epoch - 2, epoch].map((week) => [week, withSession(nothingSeen, session())]));
    const paid = new Map([epoch - 4, epoch - 1].map((week) => [week, { amount: 5n, salts: [saltOf(1)] }]));
    const told = recordsToTell(exit(1), seen, paid, startMs).map((record) => [record.epoch - epoch, record.sessions]);
    assert.deepEqual(told, [
      [-4, 0],
      [-1, 2],
    ]);
    assert.deepEqual(recordsToTell(exit(1), seen, new Map(), startMs), []);
    assert.deepEqual(recordsToTell(exit(1), seen, paid, startMs + 13 * weekMs), []);
  });

  test("medians and faults of all its sessions, and bounded, however many there are", () => {
    let seen = nothingSeen;
    for (let count = 0; count < 70_000; count += 1) seen = withSession(seen, session({ mbps: 1e9, rttMs: 20.4, failed: true, flags: 1 }));
    assert.deepEqual([seen.sessions, seen.fails, seen.flags], [65_535, 65_535, 1]);
    assert.equal(seen.mbps.length, maxValues);
    assert.equal(together(seen, seen).rttMs.length, maxValues);
    const [record] = recordsToTell(exit(1), new Map([[epoch, seen]]), new Map([[epoch, { amount: 1n, salts: [saltOf(1)] }]]), startMs);
    assert.deepEqual([record?.mbpsP50, record?.rttP50], [65_535, 20]);
  });
});

describe("reputation/telling: where traffic came out", (test) => {
  test("it is told as it was seen last; a session that did not see it leaves it as it was", () => {
    const sessions = [session(), session({ egressCountry: "DE", egressAsn: 1 }), session({ egressCountry: "NL", egressAsn: 2 }), session()];
    const seen = sessions.reduce(withSession, nothingSeen);
    const [record] = recordsToTell(exit(1), new Map([[epoch, seen]]), new Map([[epoch, { amount: 1n, salts: [saltOf(1)] }]]), startMs);
    assert.deepEqual([record?.egressCountry, record?.egressAsn], ["NL", 2]);
    assert.deepEqual(withSession(nothingSeen, session()), { ...nothingSeen, sessions: 1 });
  });

  test("it is there again after a restart", async () => {
    const { own, again } = await node();
    await own.note(session({ egressCountry: "DE", egressAsn: 64_496 }));
    await own.note(session({ endedMs: startMs - weekMs }));
    const { egressCountry, egressAsn, sessions } = (await again()).seen(exit(1));
    assert.deepEqual([egressCountry, egressAsn, sessions], ["DE", 64_496, 2]);
  });
});

describe("reputation/own: what this node has seen itself", (test) => {
  test("counts as it was, fades, and is known after a restart; the money follows the chain", async () => {
    const { own, again, pay, clock } = await node();
    await own.note(session());
    await own.note(session({ failed: true, flags: 2 }));
    await pay(100n);
    const fresh = [{ provider: exit(1), volume: 100, ok: 1, fail: 1 }];
    assert.deepEqual(await own.all(), fresh);
    assert.deepEqual(await (await again()).all(), fresh);
    clock.pass(5 * weekMs);
    const [later] = await own.all();
    assert.ok(later && later.ok > 0.4 && later.ok < 0.5 && later.volume > 40 && later.volume < 50, JSON.stringify(later));
  });

  test("nothing is told at once, nor before its money is cleared; then once, signed, on disk first, until something new is to tell", async () => {
    const { own, again, pay, clock, store } = await node();
    await own.note(session());
    await pay(100n);
    clock.pass(2 * hourMs - 1);
    assert.deepEqual(await own.due(8), []);
    clock.pass(1);
    const [first] = await own.due(8);
    assert.ok(first);
    checkPayer(first.signed, market);
    assert.deepEqual([first.signed.record.settled, first.signed.record.sessions], [100n, 1]);
    assert.ok(store.disk.has(`own/told/${exit(1)}/${epoch}`));
    // it never went out: it comes again to the letter, also after a crash
    clock.pass(hourMs);
    const [same] = await (await again()).due(8);
    assert.ok(same);
    assert.deepEqual(encodePair(same.signed), encodePair(first.signed));
    await same.sent();
    const after = await again();
    clock.pass(3 * hourMs);
    assert.deepEqual(await after.due(8), []);
    await after.note(session());
    clock.pass(3 * hourMs);
    const [next] = await after.due(8);
    assert.equal(next?.signed.record.sessions, 2);
    assert.ok((next?.signed.record.seq ?? 0) > first.signed.record.seq);
  });

  test("two contents never have one number, and no later one a lower one, even with a clock that was set back", async () => {
    const { own, again, pay, clock, store } = await node([channelTo(1)], 0);
    clock.pass(2 * hourMs);
    await own.note(session());
    await pay(100n);
    const [first] = await own.due(8);
    await first?.sent();
    // of when it was to tell something next, it knows nothing any more
    store.disk.delete(`own/due/${exit(1)}`);
    const after = await again();
    clock.pass(-hourMs);
    await after.note(session());
    const [second] = await after.due(8);
    assert.equal(second?.signed.record.seq, startMs + 2 * hourMs + 1);
  });

  test("a week has the money of all channels to the exit, eight at most, the largest ones", async () => {
    const channels = Array.from({ length: 10 }, (_, index) => channelTo(1, index + 1));
    const { own, pay, clock } = await node(channels);
    await own.note(session());
    for (let salt = 1; salt <= 10; salt += 1) await pay(BigInt(salt), { salt });
    clock.pass(3 * hourMs);
    const [told] = await own.due(8);
    assert.equal(told?.signed.record.salts.length, 8);
    assert.equal(told?.signed.record.settled, 3n + 4n + 5n + 6n + 7n + 8n + 9n + 10n);
  });

  test("what is left over is told next time, a few at a time; what is too old is forgotten", async () => {
    const { own, pay, clock, store } = await node();
    for (let back = 0; back < 4; back += 1) {
      await own.note(session({ endedMs: startMs - back * weekMs }));
      await pay(BigInt(10 + back), { atMs: startMs - back * weekMs });
    }
    clock.pass(3 * hourMs);
    const told = await own.due(3);
    assert.equal(told.length, 3);
    for (const { sent } of told) await sent();
    clock.pass(hourMs);
    assert.equal((await own.due(3)).length, 1);
    clock.pass(20 * weekMs);
    await own.purge();
    assert.deepEqual([...store.disk.keys()], []);
  });
});
