import assert from "node:assert/strict";
import { channelId } from "../../../src/payments/promise.ts";
import { backing } from "../../../src/reputation/cleared.ts";
import { describe } from "../../support/harness.ts";
import { alice, bob, epoch, exit, indexed, saltOf, startMs, weekMs } from "./fixtures.ts";

const payer = alice.address;
const channel = channelId(exit(1), saltOf(1));
const dayMs = 86_400_000;

describe("reputation/cleared: what the contract has cleared", (test) => {
  test("is known by payer, channel and week, and counts once however often it is read", async () => {
    const { index, tell, cleared } = indexed();
    const events = [
      cleared(payer, exit(1), saltOf(1), 100n),
      cleared(payer, exit(1), saltOf(1), 50n, { block: 11 }),
      cleared(payer, exit(1), saltOf(2), 7n),
      cleared(payer, exit(1), saltOf(1), 20n, { atMs: startMs - weekMs, block: 5 }),
      cleared(bob.address, exit(1), saltOf(1), 1n),
    ];
    await tell(events);
    await tell(events);
    assert.equal(await index.inEpoch(payer, channel, epoch), 150n);
    assert.deepEqual(
      await index.byEpoch(payer, channel),
      new Map([
        [epoch - 1, 20n],
        [epoch, 150n],
      ]),
    );
    assert.equal(await index.inEpoch(payer, channelId(exit(2), saltOf(1)), epoch), 0n);
    assert.deepEqual([await index.hasCleared(payer), await index.hasCleared(exit(1))], [true, false]);
  });

  test("what a reorganisation undoes is forgotten, and what comes in its place counts", async () => {
    const { index, tell, cleared } = indexed();
    await tell([
      cleared(payer, exit(1), saltOf(1), 100n, { block: 10 }),
      cleared(payer, exit(1), saltOf(1), 50n, { block: 11 }),
      { type: "deposited", signer: bob.address, bond: 9n, block: 11, logIndex: 0, timeMs: startMs },
    ]);
    await tell([], 10);
    assert.equal(await index.inEpoch(payer, channel, epoch), 100n);
    assert.equal((await index.stake(bob.address, startMs)).bond, 0n);
    await tell([cleared(payer, exit(1), saltOf(1), 3n, { block: 11 })]);
    assert.equal(await index.inEpoch(payer, channel, epoch), 103n);
  });

  test("stake gains by age, each deposit by its own, up to 90 days, and is nothing once the account closes", async () => {
    const { index, tell } = indexed();
    const deposit = (bond: bigint, timeMs: number, block: number) =>
      ({ type: "deposited", signer: payer, bond, block, logIndex: 0, timeMs }) as const;
    await tell([deposit(10n, startMs - 200 * dayMs, 1), deposit(1_000n, startMs, 2), deposit(0n, startMs, 3)]);
    assert.deepEqual(await index.stake(payer, startMs), { bond: 1_010n, aged: 10n * BigInt(90 * dayMs) });
    assert.equal((await index.stake(payer, startMs + dayMs)).aged, 10n * BigInt(90 * dayMs) + 1_000n * BigInt(dayMs));
    await tell([{ type: "closing", signer: payer, block: 4, logIndex: 0, timeMs: startMs }]);
    assert.deepEqual(await index.stake(payer, startMs + dayMs), { bond: 0n, aged: 0n });
    await tell([], 3);
    assert.equal((await index.stake(payer, startMs)).bond, 1_010n);
  });

  test("a bond that was burned is no stake any more; what is put up after that is", async () => {
    const { index, tell } = indexed();
    const deposit = (bond: bigint, block: number) =>
      ({ type: "deposited", signer: payer, bond, block, logIndex: 0, timeMs: startMs }) as const;
    await tell([deposit(10n, 1), deposit(20n, 2), { type: "bondBurned", signer: payer, block: 2, logIndex: 5, timeMs: startMs }]);
    assert.equal((await index.stake(payer, startMs)).bond, 0n);
    await tell([deposit(7n, 3)]);
    assert.equal((await index.stake(payer, startMs)).bond, 7n);
    await tell([], 1);
    assert.equal((await index.stake(payer, startMs)).bond, 10n);
  });

  test("what was cleared over 13 weeks ago goes from the disk, stake stays", async () => {
    const { index, tell, cleared, store } = indexed();
    await tell([
      cleared(payer, exit(1), saltOf(1), 1n, { atMs: startMs - 13 * weekMs }),
      cleared(payer, exit(1), saltOf(1), 2n, { atMs: startMs - 12 * weekMs }),
      { type: "deposited", signer: payer, bond: 9n, block: 1, logIndex: 0, timeMs: 0 },
    ]);
    await store.write(await index.purge(startMs));
    assert.deepEqual([...(await index.byEpoch(payer, channel)).keys()], [epoch - 12]);
    assert.equal(store.disk.size, 2);
  });

  test("what backs a rater fades: half for what was cleared 30 days earlier", async () => {
    const { index, tell, cleared } = indexed();
    await tell([cleared(payer, exit(1), saltOf(1), 1_000n), cleared(payer, exit(1), saltOf(2), 1_000n, { atMs: startMs - 5 * weekMs })]);
    const [now, before] = [
      await backing(index, payer, [channel], startMs),
      await backing(index, payer, [channelId(exit(1), saltOf(2))], startMs),
    ];
    assert.ok(Math.abs(before / now - 2 ** (-35 / 30)) < 0.06, `${before / now}`);
    assert.equal(await backing(index, payer, [channel, channelId(exit(1), saltOf(2))], startMs), now + before);
  });
});
