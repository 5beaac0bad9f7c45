import assert from "node:assert/strict";
import type { Hex } from "../../../src/lib/codec.ts";
import { channelState, type Money, payerChannelView, providerChannelView, walletView } from "../../../src/node/wallet-views.ts";
import { describe } from "../../support/harness.ts";

const address: Hex = `0x${"ab".repeat(20)}`;
const channel: Hex = `0x${"cd".repeat(32)}`;
const account = { balance: 70n, line: 100n, bond: 10n, closeAtMs: undefined, owner: address, readAtMs: 5 };
const money: Money = {
  address,
  account,
  tokens: 1n,
  gas: 2n,
  credit: 3n,
  promised: 45n,
  payerChannels: [
    { cumulative: 40n, consumed: 33n },
    { cumulative: 5n, consumed: 5n },
  ],
  providerChannels: [
    { cumulative: 20n, paid: 8n },
    { cumulative: 4n, paid: 4n },
    { cumulative: 9n, paid: 6n },
  ],
  writtenOff: 2n,
};

describe("node/wallet-views: the wallet", (test) => {
  test("spent is what exits took, a liability is what they have yet to take", () => {
    const { spent, promised, liabilities, line } = walletView(money);
    assert.deepEqual({ spent, promised, liabilities, line }, { spent: 30n, promised: 45n, liabilities: 15n, line: 100n });
  });

  test("what may be lost: paid ahead, the bond, and what is owed and not given up already", () => {
    const { atRisk, unsettled, unsettledChannels, writtenOff } = walletView(money);
    assert.deepEqual(atRisk, { prepaid: 7n, bond: 10n, owed: 13n });
    assert.deepEqual({ unsettled, unsettledChannels, writtenOff }, { unsettled: 15n, unsettledChannels: 2, writtenOff: 2n });
  });

  test("nothing is ever negative: a ledger behind the chain, a withdrawn account, a channel paid by another's bond", () => {
    const odd = walletView({ ...money, promised: 3n, providerChannels: [{ cumulative: 1n, paid: 2n }], writtenOff: 5n });
    assert.deepEqual([odd.liabilities, odd.unsettled, odd.atRisk.owed], [0n, 0n, 0n]);
  });

  test("an owner is named once there is one, the time of a withdrawal once it closes", () => {
    assert.equal("owner" in walletView({ ...money, account: { ...account, owner: `0x${"0".repeat(40)}` } }), false);
    assert.equal(walletView(money).owner, address);
    assert.equal("closeAtMs" in walletView(money), false);
    assert.equal(walletView({ ...money, account: { ...account, closeAtMs: 9 } }).closeAtMs, 9);
  });
});

describe("node/wallet-views: channels", (test) => {
  const facts = { cumulative: 5n, paid: 3n, active: false, closeAtMs: undefined, nowMs: 100 };

  test("a state says what needs attention", () => {
    assert.equal(channelState(facts), "open");
    assert.equal(channelState({ ...facts, active: true, closeAtMs: 50 }), "active");
    assert.equal(channelState({ ...facts, paid: 5n, closeAtMs: 50 }), "cleared");
    assert.equal(channelState({ ...facts, paid: 0n, cumulative: 0n }), "new");
    assert.equal(channelState({ ...facts, closeAtMs: 101 }), "closing");
    assert.equal(channelState({ ...facts, closeAtMs: 100 }), "closed");
  });

  const promise = { channel, cumulative: 5n, total: 9n, seq: (1_700_000_000_123n << 20n) + 3n, signature: new Uint8Array(64) };
  const common = { active: new Set<Hex>(), nowMs: 100, closeAtMs: undefined };

  test("the last activity is in the newest promise; before the first it is the opening", () => {
    const base = { channel, provider: address, peer: "p", salt: new Uint8Array(12), cumulative: 5n, consumed: 4n, openedMs: 77 };
    const seen = payerChannelView({ ...base, last: promise }, { ...common, signer: address, paid: 2n });
    assert.deepEqual([seen.lastMs, seen.unsettled, seen.state], [1_700_000_000_123, 3n, "open"]);
    assert.equal(payerChannelView({ ...base, cumulative: 0n }, { ...common, signer: address, paid: 0n }).lastMs, 77);
  });

  test("a provider's names its payer", () => {
    const owed = { signer: address, channel, peer: "p", salt: new Uint8Array(12), best: promise, cumulative: 5n, consumed: 4n, paid: 5n };
    const seen = providerChannelView(owed, { ...common, active: new Set([channel]) });
    assert.deepEqual([seen.role, seen.signer, seen.unsettled, seen.state], ["provider", address, 0n, "active"]);
  });
});
