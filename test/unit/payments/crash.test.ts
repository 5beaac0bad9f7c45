import assert from "node:assert/strict";
import fc from "fast-check";
import { openPayerLedger, type PayerLedger } from "../../../src/payments/payer-ledger.ts";
import { type SignedPromise, samePromise } from "../../../src/payments/promise.ts";
import { openProviderLedger, type ProviderLedger } from "../../../src/payments/provider-ledger.ts";
import { describe } from "../../support/harness.ts";
import { account, clockAt, domain, type Fate, memoryStore, nowMs, payer, provider } from "./fixtures.ts";

const exits = [
  { address: provider.address, peer: provider.peerId },
  { address: `0x${"0b".repeat(20)}` as const, peer: "another" },
];
const line = 10n ** 12n;
const conditions = { chainReachable: true, limits: { maxUnsettled: line, minBond: 0n } };
const view = account({ line, balance: line, bond: 8n * line });

/** A process that dies at its n-th write: just before it or just after. What it had on disk is all that the next one gets. */
function mortal(deathAt: number, how: Exclude<Fate, "done">) {
  const disk = new Map<string, Uint8Array>();
  let writes = 0;
  let dead = false;
  return {
    disk,
    died: () => dead,
    store: memoryStore(disk, () => {
      if (dead) return "lost";
      writes += 1;
      if (writes !== deathAt) return "done";
      dead = true;
      return how;
    }),
  };
}

/** What may ever have been seen by anybody: no seq has two contents, no amount falls, and the totals tell the truth. */
function checkSent(sent: SignedPromise[]): void {
  const bySeq = new Map<bigint, SignedPromise>();
  const byChannel = new Map<string, SignedPromise>();
  for (const promise of sent) {
    const known = bySeq.get(promise.seq);
    assert.ok(!known || samePromise(known, promise), "one seq with two contents");
    bySeq.set(promise.seq, promise);
    const before = byChannel.get(promise.channel);
    assert.ok(!before || promise.cumulative >= before.cumulative, "a cumulative falls");
    byChannel.set(promise.channel, promise);
  }
  const inOrder = [...bySeq.values()].sort((a, b) => (a.seq < b.seq ? -1 : 1));
  const latest = new Map<string, bigint>();
  let total = 0n;
  for (const promise of inOrder) {
    assert.ok(promise.total >= total, "a total falls");
    total = promise.total;
    latest.set(promise.channel, promise.cumulative);
    const promised = [...latest.values()].reduce((sum, amount) => sum + amount, 0n);
    assert.ok(total >= promised, "a total leaves something out");
  }
}

type Command = { exit: number; more: bigint; clockMs: number; use: bigint };
const commands = fc.array(
  fc.record({
    exit: fc.integer({ min: 0, max: 1 }),
    more: fc.bigInt({ min: 0n, max: 1_000n }),
    clockMs: fc.integer({ min: -3_600_000, max: 3_600_000 }),
    use: fc.bigInt({ min: 0n, max: 1_000n }),
  }),
  { minLength: 1, maxLength: 12 },
);
const deaths = fc.array(
  fc.record({ at: fc.integer({ min: 1, max: 8 }), how: fc.constantFrom("lost", "doneThenCrash") as fc.Arbitrary<Exclude<Fate, "done">> }),
  { minLength: 1, maxLength: 4 },
);

describe("payments/ledgers: a crash at any write", (test) => {
  test("a payer never signs a seq twice with other content, and no amount falls", async () => {
    await fc.assert(
      fc.asyncProperty(commands, deaths, async (all, ends) => {
        const sent: SignedPromise[] = [];
        let disk = new Map<string, Uint8Array>();
        const lives = [...ends, { at: Number.POSITIVE_INFINITY, how: "lost" as const }];
        let rest = all;
        for (const { at, how } of lives) {
          const life = mortal(at, how);
          for (const [key, value] of disk) life.disk.set(key, value);
          rest = await live(life.store, rest, sent);
          disk = new Map(life.disk);
        }
        checkSent(sent);
      }),
      { numRuns: 60 },
    );
  });

  test("a provider keeps every promise that it acknowledged, and holds none that its payer has forgotten", async () => {
    await fc.assert(
      fc.asyncProperty(commands, deaths, deaths, async (all, payerEnds, providerEnds) => {
        const acked = new Map<string, bigint>();
        const payerDisk = new Map<string, Uint8Array>();
        const providerDisk = new Map<string, Uint8Array>();
        let rest = all;
        const [none] = [{ at: Number.POSITIVE_INFINITY, how: "lost" as const }];
        for (let life = 0; life <= Math.max(payerEnds.length, providerEnds.length); life += 1) {
          const ours = carriedOn(payerDisk, payerEnds[life] ?? none);
          const theirs = carriedOn(providerDisk, providerEnds[life] ?? none);
          rest = await together(ours.store, theirs.store, rest, acked);
          ours.keep();
          theirs.keep();
        }
        const paying = await openPayerLedger({ store: memoryStore(payerDisk), identity: payer, clock: clockAt() }, domain);
        const earning = await openProviderLedger({ store: memoryStore(providerDisk), self: provider.address, clock: clockAt() }, domain);
        for (const [channel, cumulative] of acked) {
          const held = earning.channel({ signer: payer.address, channel: channel as `0x${string}` });
          assert.ok(held && held.cumulative >= cumulative, "an acknowledged promise is lost");
          assert.ok((paying.channel(held.channel)?.cumulative ?? 0n) >= held.cumulative, "a promise its payer does not know");
          assert.ok(held.consumed <= held.cumulative);
        }
      }),
      { numRuns: 60 },
    );
  });
});

/** One life of a payer: promises until it dies or has nothing left to do; returns what is left. */
async function live(store: ReturnType<typeof memoryStore>, all: Command[], sent: SignedPromise[]): Promise<Command[]> {
  const clock = clockAt();
  const ledger = await openPayerLedger({ store, identity: payer, clock }, domain);
  for (const { last } of ledger.channels()) if (last) sent.push(last);
  let done = 0;
  try {
    await ledger.begin();
    for (const { exit, more, clockMs, use } of all) {
      clock.ms = nowMs + clockMs;
      done += 1;
      const { channel, cumulative, consumed } = await ledger.channelWith(exits[exit] as (typeof exits)[0]);
      const promise = await ledger.promise({ channel, cumulative: cumulative + more, consumed: consumed + use, line });
      if (promise) sent.push(promise);
      await ledger.consume(channel, consumed + use);
    }
    return [];
  } catch {
    return all.slice(done);
  }
}

function carriedOn(disk: Map<string, Uint8Array>, end: { at: number; how: Exclude<Fate, "done"> }) {
  const life = mortal(end.at, end.how);
  for (const [key, value] of disk) life.disk.set(key, value);
  return {
    store: life.store,
    keep: () => {
      for (const [key, value] of life.disk) disk.set(key, value);
    },
  };
}

/** One life of both: the payer sends its stored promise first, then new ones; the first that dies ends it. */
async function together(
  payerStore: ReturnType<typeof memoryStore>,
  providerStore: ReturnType<typeof memoryStore>,
  all: Command[],
  acked: Map<string, bigint>,
): Promise<Command[]> {
  const clock = clockAt();
  const paying: PayerLedger = await openPayerLedger({ store: payerStore, identity: payer, clock }, domain);
  const earning: ProviderLedger = await openProviderLedger({ store: providerStore, self: provider.address, clock: clockAt(nowMs) }, domain);
  const deliver = async (promise: SignedPromise, salt: Uint8Array, consumed: bigint) => {
    const result = await earning.accept({ signer: payer.address, peer: payer.peerId, salt, promise, consumed }, conditions);
    assert.ok(result.accepted, `refused: ${JSON.stringify(result)}`);
    acked.set(promise.channel, promise.cumulative);
  };
  let done = 0;
  try {
    await paying.begin();
    await earning.rememberAccount(payer.address, view);
    for (const { last, salt, consumed } of paying.channels()) if (last) await deliver(last, salt, consumed);
    for (const { more, use, clockMs } of all) {
      clock.ms = nowMs + Math.min(clockMs, 0);
      done += 1;
      const { channel, cumulative, consumed, salt } = await paying.channelWith(exits[0] as (typeof exits)[0]);
      const promise = await paying.promise({ channel, cumulative: cumulative + more, consumed: consumed + use, line });
      if (promise) await deliver(promise, salt, consumed + use);
    }
    return [];
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error;
    return all.slice(done);
  }
}
