import assert from "node:assert/strict";
import fc from "fast-check";
import { createIdentity } from "../../../src/identity/identity.ts";
import { clearingDomain } from "../../../src/payments/eip712.ts";
import { createIntake, enough, spacingMs } from "../../../src/payments/intake.ts";
import { channelId, type SignedPromise, signPromise } from "../../../src/payments/promise.ts";
import { openProviderLedger, type PromiseOffer } from "../../../src/payments/provider-ledger.ts";
import { type FindSigners, findSignersInline } from "../../../src/payments/signers.ts";
import { describe } from "../../support/harness.ts";
import { account, clockAt, domain, memoryStore, nowMs, provider } from "./fixtures.ts";

const payers = [1, 2].map((n) => createIdentity(new Uint8Array(32).fill(n + 40)));
const salts = [1, 2].map((n) => new Uint8Array(12).fill(n));
const limits = { maxUnsettled: 1_000n, minBond: 100n };
const conditions = { chainReachable: true, limits };
const checked: SignedPromise[][] = [];

async function open(findSigners?: FindSigners) {
  const store = memoryStore();
  const ledger = await openProviderLedger({ store, self: provider.address, clock: clockAt(), ...(findSigners && { findSigners }) }, domain);
  for (const { address } of payers) await ledger.rememberAccount(address, account());
  return { ledger, store };
}
/** Counts what is checked, and is as slow as another thread. */
const counted: FindSigners = async (promises) => {
  checked.push(promises);
  for (let i = 0; i < 3; i += 1) await new Promise((resolve) => setImmediate(resolve));
  return findSignersInline(domain)(promises);
};

type Step = { payer: number; salt: number; more: bigint; forged: boolean; turn: boolean };
/** Offers as payers make them that count over all their channels; a forged one is signed for another contract. */
function offersOf(steps: Step[]): PromiseOffer[] {
  const state = payers.map(() => ({ total: 0n, cumulative: [0n, 0n] }));
  return steps.map(({ payer, salt, more, forged }, n) => {
    const of = state[payer] as (typeof state)[0];
    const identity = payers[payer] as (typeof payers)[0];
    const cumulative = (of.cumulative[salt] ?? 0n) + more;
    const total = of.total + more;
    if (!forged) {
      of.cumulative[salt] = cumulative;
      of.total = total;
    }
    const channel = channelId(provider.address, salts[salt] as Uint8Array);
    const where = forged ? clearingDomain({ ...domain, chainId: 1 }) : domain;
    const promise = signPromise(where, identity, { channel, cumulative, total, seq: (BigInt(nowMs) << 20n) + BigInt(n) });
    return { signer: identity.address, peer: identity.peerId, salt: salts[salt] as Uint8Array, promise, consumed: 0n };
  });
}
const steps = (most: bigint, forgeries: boolean) =>
  fc.array(
    fc.record({
      payer: fc.nat(1),
      salt: fc.nat(1),
      more: fc.bigInt({ min: 1n, max: most }),
      forged: forgeries ? fc.boolean() : fc.constant(false),
      turn: fc.boolean(),
    }),
    { minLength: 1, maxLength: 12 },
  );

/** An intake whose moments pass when the test says so; each promise of another payer, signed or not does not matter. */
function byHand() {
  const batches: number[] = [];
  const rests: { ms: number; end(): void }[] = [];
  const onDisk: (() => void)[] = [];
  let nowMs = 1_000;
  const intake = createIntake(
    async (promises) => {
      batches.push(promises.length);
      return promises.map(() => provider.address);
    },
    {
      nowMs: () => nowMs,
      rest: (ms, onStop) =>
        new Promise((resolve) => {
          rests.push({ ms, end: resolve });
          onStop(resolve);
        }),
    },
  );
  let payer = 0;
  const come = () => {
    payer += 1;
    const signer = `0x${payer.toString(16).padStart(40, "0")}` as const;
    const promise = { channel: signer, cumulative: 1n, total: 1n, seq: 1n, signature: new Uint8Array() };
    const written = new Promise<void>((resolve) => onDisk.push(resolve));
    void intake.check({ signer, promise, conclude: () => written.then(() => ({ accepted: true, fresh: true })) });
  };
  const turns = async () => {
    for (let i = 0; i < 5; i += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  return {
    ...{ batches, rests, come, turns },
    pass: (ms: number) => {
      nowMs += ms;
    },
    write: async () => {
      for (const resolve of onDisk.splice(0)) resolve();
      await turns();
    },
  };
}

describe("payments/intake: promises that come while others are under way", (test) => {
  test("who comes alone never waits, however soon after the last", async () => {
    const { batches, rests, come, turns, write } = byHand();
    for (let i = 0; i < 3; i += 1) {
      come();
      await turns();
      await write();
    }
    assert.deepEqual({ batches, rests }, { batches: [1, 1, 1], rests: [] });
  });

  test("while one is not on disk yet the next wait for each other, until the last check is some time ago", async () => {
    const { batches, rests, come, turns, pass } = byHand();
    come();
    await turns();
    pass(5);
    come();
    await turns();
    come();
    await turns();
    assert.deepEqual({ batches, rests: rests.map(({ ms }) => ms) }, { batches: [1], rests: [spacingMs - 5] });
    rests[0]?.end();
    await turns();
    assert.deepEqual(batches, [1, 2]);
    pass(spacingMs);
    come();
    await turns();
    assert.deepEqual(batches, [1, 2, 1]);
    assert.equal(rests.length, 1);
  });

  test("after several one waits though none is under way, and the next alone does not", async () => {
    const { batches, rests, come, turns, write } = byHand();
    come();
    come();
    await turns();
    await write();
    come();
    await turns();
    assert.deepEqual(batches, [2]);
    rests[0]?.end();
    await turns();
    await write();
    come();
    await turns();
    assert.deepEqual(batches, [2, 1, 1]);
    assert.equal(rests.length, 1);
  });

  test("many that wait do not wait on", async () => {
    const { batches, come, turns } = byHand();
    come();
    await turns();
    for (let i = 0; i < enough - 1; i += 1) come();
    await turns();
    assert.deepEqual(batches, [1]);
    come();
    await turns();
    assert.deepEqual(batches, [1, enough]);
  });
});

describe("payments/intake: promises that come together", (test) => {
  test("of one channel's only the newest is checked and kept, and covers the others", async () => {
    checked.length = 0;
    const { ledger } = await open(counted);
    const offers = offersOf([10n, 20n, 30n].map((more) => ({ payer: 0, salt: 0, more, forged: false, turn: false })));
    const results = await Promise.all(offers.map((offer) => ledger.accept(offer, conditions)));
    assert.deepEqual(results, [
      { accepted: true, fresh: false },
      { accepted: true, fresh: false },
      { accepted: true, fresh: true },
    ]);
    assert.deepEqual(
      checked.map((batch) => batch.length),
      [1],
    );
    assert.equal(ledger.channels()[0]?.cumulative, 60n);
  });

  test("a forged newest neither counts nor takes those before it with it", async () => {
    const { ledger } = await open(counted);
    const offers = offersOf([10n, 20n, 900n].map((more, i) => ({ payer: 0, salt: 0, more, forged: i === 2, turn: false })));
    const results = await Promise.all(offers.map((offer) => ledger.accept(offer, conditions)));
    assert.deepEqual(
      results.map(({ accepted }) => accepted),
      [true, true, false],
    );
    assert.equal(ledger.channels()[0]?.cumulative, 30n);
  });

  test("a check that fails refuses nothing for good", async () => {
    let fails = true;
    const { ledger } = await open(async (promises) => {
      if (fails) throw new Error("no thread");
      return findSignersInline(domain)(promises);
    });
    const [offer] = offersOf([{ payer: 0, salt: 0, more: 10n, forged: false, turn: false }]) as [PromiseOffer];
    await assert.rejects(ledger.accept(offer, conditions), /no thread/);
    fails = false;
    assert.deepEqual(await ledger.accept(offer, conditions), { accepted: true, fresh: true });
  });

  test("within the limits the end is that of one after the other: all that is honest is taken", async () => {
    await fc.assert(
      fc.asyncProperty(steps(40n, true), async (all) => {
        const offers = offersOf(all);
        const [one, many] = [await open(), await open(counted)];
        const expected = [];
        for (const offer of offers) expected.push((await one.ledger.accept(offer, conditions)).accepted);
        const under = [];
        for (const [i, offer] of offers.entries()) {
          under.push(many.ledger.accept(offer, conditions));
          if (all[i]?.turn) await new Promise((resolve) => setImmediate(resolve));
        }
        const results = await Promise.all(under);
        for (const [i, { accepted }] of results.entries()) if (!all[i]?.forged) assert.ok(accepted === expected[i], `promise ${i}`);
        const held = ({ ledger }: typeof one) =>
          ledger
            .channels()
            .map(({ signer, best }) => `${signer} ${best.channel} ${best.seq}`)
            .sort();
        assert.deepEqual(held(many), held(one));
        assert.deepEqual([...many.store.disk].sort(), [...one.store.disk].sort());
      }),
      { numRuns: 60 },
    );
  });

  test("however many are under way at once, the limits hold over all channels of a payer", async () => {
    await fc.assert(
      fc.asyncProperty(steps(900n, true), async (all) => {
        const { ledger } = await open(counted);
        const under = [];
        for (const [i, offer] of offersOf(all).entries()) {
          under.push(ledger.accept(offer, conditions));
          if (all[i]?.turn) await new Promise((resolve) => setImmediate(resolve));
          for (const { address } of payers) assert.ok(ledger.unsettled(address) <= limits.maxUnsettled);
        }
        await Promise.all(under);
        for (const { address } of payers) assert.ok(ledger.unsettled(address) <= limits.maxUnsettled);
      }),
      { numRuns: 60 },
    );
  });
});
