import assert from "node:assert/strict";
import { createIdentity } from "../../../src/identity/identity.ts";
import { channelId, signPromise } from "../../../src/payments/promise.ts";
import { openProviderLedger, type ProviderLedger } from "../../../src/payments/provider-ledger.ts";
import { describe } from "../../support/harness.ts";
import { account, channel, clockAt, domain, memoryStore, nowMs, payer, provider, salt } from "./fixtures.ts";

const stranger = createIdentity(new Uint8Array(32).fill(9));
const conditions = { chainReachable: true, limits: { maxUnsettled: 50_000n, minBond: 100n } };
const offer = (cumulative: bigint, n: number) => ({
  ...{ signer: payer.address, peer: payer.peerId, salt, consumed: 0n },
  promise: signPromise(domain, payer, { channel, cumulative, total: cumulative, seq: BigInt(nowMs + n) << 20n }),
});
const open = async (store = memoryStore()): Promise<ProviderLedger> => {
  const ledger = await openProviderLedger({ store, self: provider.address, clock: clockAt() }, domain);
  for (const { address } of [payer, stranger]) await ledger.rememberAccount(address, account());
  return ledger;
};

describe("payments/provider-ledger: limits over all payers, and from what is known of them elsewhere", (test) => {
  test("payers that never cleared anything may owe so much together; what is cleared, or taken back by the disk, makes room", async () => {
    let lost = false;
    const ledger = await open(memoryStore(new Map(), () => (lost ? "lost" : "done")));
    const tight = { chainReachable: true, limits: { maxUnsettled: 100n, minBond: 100n } };
    let signed = 0;
    const take = (by: typeof payer, n: number, cumulative: bigint) => {
      const salt = new Uint8Array(12).fill(n);
      signed += 1;
      const promise = signPromise(domain, by, {
        channel: channelId(provider.address, salt),
        cumulative,
        total: 5_000n,
        seq: BigInt(nowMs + signed) << 20n,
      });
      return ledger.accept({ signer: by.address, peer: by.peerId, salt, promise, consumed: 0n }, tight);
    };
    const strangers = Array.from({ length: 22 }, (_, i) => createIdentity(new Uint8Array(32).fill(50 + i)));
    for (const one of strangers) await ledger.rememberAccount(one.address, account());
    const [first, ...others] = strangers as [typeof payer, ...(typeof payer)[]];
    for (const one of others.slice(0, 19)) assert.deepEqual(await take(one, 1, 100n), { accepted: true, fresh: true });
    assert.deepEqual(await take(first, 1, 60n), { accepted: true, fresh: true });
    assert.deepEqual(await take(others[19] as typeof payer, 1, 41n), { accepted: false, refusal: "strangers" });
    lost = true;
    await assert.rejects(take(others[20] as typeof payer, 1, 40n));
    lost = false;
    assert.deepEqual(await take(others[19] as typeof payer, 1, 40n), { accepted: true, fresh: true });
    // whoever has cleared is a stranger no more, and what it owes is another matter
    const channel = channelId(provider.address, new Uint8Array(12).fill(1));
    await ledger.settled({ signer: first.address, channel }, 1n);
    assert.deepEqual(await take(first, 1, 100n), { accepted: true, fresh: true });
    assert.deepEqual(await take(others[19] as typeof payer, 1, 99n), { accepted: true, fresh: true });
  });

  test("what is known of a payer elsewhere counts, and whoever knows it is told of what it has signed, accepted or not", async () => {
    const ledger = await open();
    const taken: bigint[] = [];
    const sight = { standing: "clear", totalBefore: 0n, total: 0n, seen: undefined, othersUnseen: 0n, channels: 1, exits: 1 } as const;
    let now: Parameters<typeof ledger.accept>[1] = {
      ...conditions,
      watch: {
        sight: (_, { cumulative }) => ({ ...sight, standing: taken.includes(cumulative) && cumulative === 300n ? "conflict" : "clear" }),
        take: (signer, { cumulative }) => {
          assert.equal(signer, payer.address);
          taken.push(cumulative);
        },
      },
    };
    assert.deepEqual(await ledger.accept(offer(100n, 0), now), { accepted: true, fresh: true });
    // it is itself what shows the lie
    assert.deepEqual(await ledger.accept(offer(300n, 1), now), { accepted: false, refusal: "conflict-known" });
    const forged = { ...offer(200n, 2), signer: stranger.address };
    assert.equal((await ledger.accept(forged, now)).accepted, false);
    assert.deepEqual(taken, [100n, 300n]);
    now = { ...now, watch: { sight: () => ({ ...sight, exits: 1_000 }), take: () => assert.fail("not signed for all that is known") } };
    assert.deepEqual(await ledger.accept(offer(301n, 3), now), { accepted: false, refusal: "unseen" });
  });
});
