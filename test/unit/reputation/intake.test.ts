import assert from "node:assert/strict";
import { channelId } from "../../../src/payments/promise.ts";
import { createIntake } from "../../../src/reputation/intake.ts";
import { openLedger } from "../../../src/reputation/ledger.ts";
import { encodeFork, encodePair, type Fork, type PairRecord } from "../../../src/reputation/record.ts";
import { describe } from "../../support/harness.ts";
import { alice, bob, epoch, exit, fakeClock, indexed, market, memoryStore, saltOf, signedBy, startMs } from "./fixtures.ts";

/** A node that knows of 100 cleared from Alice to exit 1 this week. */
async function node() {
  const clock = fakeClock();
  const store = memoryStore();
  const { index, tell, cleared } = indexed();
  const ledger = await openLedger({ store, clock, table: store.table("ledger"), matters: () => false });
  const forks: Fork[] = [];
  let reads = 0;
  const counted = {
    ...index,
    inEpoch: (...args: Parameters<typeof index.inEpoch>) => {
      reads += 1;
      return index.inEpoch(...args);
    },
  };
  const intake = createIntake({ ledger, index: counted, clock, network: market, channelOf: channelId, onFork: (fork) => forks.push(fork) });
  await tell([cleared(alice.address, exit(1), saltOf(1), 100n)]);
  return { intake, ledger, clock, forks, tell, cleared, reads: () => reads };
}
const bytesOf = (change: Partial<PairRecord> = {}, payer = alice, network = market) => encodePair(signedBy(payer, change, network));

describe("reputation/intake: what to do with a record", (test) => {
  test("backed and signed: accepted and held; the same again is not news", async () => {
    const { intake, ledger } = await node();
    assert.equal(await intake.record(bytesOf()), "accept");
    assert.equal(ledger.count().records, 1);
    assert.equal(await intake.record(bytesOf()), "ignore");
  });

  test("one base unit more than was cleared, another week, channel or exit: ignored, since our index may be behind", async () => {
    const { intake, ledger, tell, cleared } = await node();
    for (const change of [
      { settled: 101n },
      { epoch: epoch - 1 },
      { salts: [saltOf(2)] },
      { provider: exit(2) },
      { settled: 101n, salts: [saltOf(1), saltOf(2)] },
    ])
      assert.equal(await intake.record(bytesOf(change)), "ignore");
    assert.equal(await intake.record(bytesOf({}, bob)), "ignore");
    assert.equal(ledger.count().records, 0);
    await tell([cleared(alice.address, exit(1), saltOf(2), 1n)]);
    assert.equal(await intake.record(bytesOf({ settled: 101n, salts: [saltOf(1), saltOf(2)] })), "accept");
  });

  test("no record, a false signature, another network's: rejected, at the sender's cost", async () => {
    const { intake, ledger } = await node();
    const forged = encodePair({ ...signedBy(alice), signature: signedBy(bob).signature });
    for (const bytes of [Uint8Array.of(1, 2, 3), forged, bytesOf({}, alice, { ...market, chainId: 1 })])
      assert.equal(await intake.record(bytes), "reject");
    assert.equal(ledger.count().records, 0);
  });

  test("too old, from the future, overtaken: ignored without a look at disk or signature", async () => {
    const { intake, reads } = await node();
    assert.equal(await intake.record(bytesOf({ seq: startMs })), "accept");
    const before = reads();
    for (const change of [{ epoch: epoch - 13 }, { epoch: epoch + 1 }, { seq: startMs + 600_000 }, { seq: startMs - 1 }])
      assert.equal(await intake.record(bytesOf(change)), "ignore");
    assert.equal(reads(), before);
  });

  test("a payer is heard 32 times a day; nobody uses that up for it with forgeries, and what we asked for does not count", async () => {
    const { intake, clock } = await node();
    for (let seq = 1; seq <= 50; seq += 1)
      assert.equal(await intake.record(encodePair({ ...signedBy(alice, { seq }), signature: signedBy(bob).signature })), "reject");
    const verdicts: string[] = [];
    for (let seq = 1; seq <= 40; seq += 1) verdicts.push(await intake.record(bytesOf({ seq })));
    assert.equal(verdicts.filter((verdict) => verdict === "accept").length, 32);
    assert.equal(verdicts.at(-1), "ignore");
    assert.equal(await intake.record(bytesOf({ seq: 41 }), true), "accept");
    clock.pass(86_400_000 / 32);
    assert.equal(await intake.record(bytesOf({ seq: 42 })), "accept");
  });

  test("two stories under one number: the second is not passed on, the proof is told, and the payer is heard no more", async () => {
    const { intake, forks, ledger } = await node();
    await intake.record(bytesOf());
    assert.equal(await intake.record(bytesOf({ fails: 0 })), "ignore");
    assert.equal(forks.length, 1);
    assert.equal(await intake.record(bytesOf({ seq: startMs + 1 })), "ignore");
    assert.equal(ledger.count().records, 0);
  });
});

describe("reputation/intake: what to do with a fork", (test) => {
  const forkOf = (payer = alice): Fork => ({ a: signedBy(payer), b: signedBy(payer, { fails: 0 }) });

  test("taken once from somebody who has cleared something, and what was held of it goes", async () => {
    const { intake, ledger } = await node();
    await intake.record(bytesOf());
    assert.equal(await intake.fork(encodeFork(forkOf())), "accept");
    assert.equal(ledger.count().records, 0);
    assert.equal(await intake.fork(encodeFork(forkOf())), "ignore");
  });

  test("an accusation without proof has no effect: unsigned by the accused, or no contradiction", async () => {
    const { intake, ledger } = await node();
    await intake.record(bytesOf());
    const { a, b } = forkOf();
    for (const fork of [
      { a, b: { ...b, signature: signedBy(bob).signature } },
      { a: { ...a, signature: signedBy(bob).signature }, b },
      { a, b: a },
      { a, b: signedBy(bob) },
    ])
      assert.equal(await intake.fork(encodeFork(fork)), "reject");
    assert.equal(ledger.count().records, 1);
    assert.equal(ledger.isForked(alice.address), false);
  });

  test("whoever never cleared anything takes up no room", async () => {
    const { intake, ledger } = await node();
    assert.equal(await intake.fork(encodeFork(forkOf(bob))), "ignore");
    assert.equal(ledger.count().forks, 0);
  });
});
