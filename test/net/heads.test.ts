import assert from "node:assert/strict";
import { systemClock } from "../../src/lib/clock.ts";
import { silentLogger } from "../../src/lib/ports.ts";
import { createEvents } from "../../src/node/events.ts";
import { guardPayers } from "../../src/node/guarding.ts";
import { clearingDomain } from "../../src/payments/eip712.ts";
import { shardOf, shardTopic } from "../../src/payments/heads/head.ts";
import { channelId, newSalt, signPromise } from "../../src/payments/promise.ts";
import { openProviderLedger } from "../../src/payments/provider-ledger.ts";
import { findSignersInline } from "../../src/payments/signers.ts";
import { decideOn } from "../../src/session/accepting.ts";
import type { ProviderEvent } from "../../src/session/provider.ts";
import { describe } from "../support/harness.ts";
import { startPeer, type TestPeer, until } from "./support.ts";

const domain = clearingDomain({ chainId: 31337, contract: `0x${"c1".repeat(20)}` });
const bond = 800_000n;

/** A node that serves, as far as payers that cheat are concerned: with a ledger of its own, and the signer known from the chain. */
async function guard(peer: TestPeer, signer: TestPeer["identity"]) {
  const { network, store, identity } = peer;
  const ledger = await openProviderLedger({ store, self: identity.address, clock: systemClock }, domain);
  const events = createEvents(silentLogger);
  const told: object[] = [];
  events.on((event) => told.push(event));
  const cleared: unknown[] = [];
  const ended: ProviderEvent[] = [];
  const session = { signer: signer.address, send: (event: ProviderEvent) => void ended.push(event) };
  const guarding = await guardPayers({
    ...{ network, ledger, store, events, clock: systemClock, log: silentLogger, self: identity.address, minBond: 1n },
    discovery: { offers: () => [] },
    settler: { requestSettle: (...asked) => cleared.push(asked) },
    findSigners: findSignersInline(domain),
    look: async () => undefined,
    sessions: () => [session],
  });
  const deposited = { type: "deposited" as const, signer: signer.address, block: 1, bond };
  await store.write(await guarding.heads.takeEvents({ undoneAbove: undefined, cleared: [], accounts: [deposited] }));
  const account = { balance: 1_000_000n, line: 1_000_000n, bond, closeAtMs: undefined, owner: signer.address };
  const accept = async (cumulative: bigint, total: bigint) => {
    const salt = newSalt();
    const channel = channelId(identity.address, salt);
    const content = { channel, cumulative, total, seq: BigInt(Date.now()) << 20n };
    const promise = signPromise(domain, signer, content);
    await ledger.rememberAccount(signer.address, { ...account, readAtMs: Date.now() });
    const deps = {
      ...{ ledger, clock: systemClock, log: silentLogger, heads: guarding.heads, limits: { maxUnsettled: bond, minBond: 0n } },
      settler: { relieve: async () => undefined, overdue: () => false },
      readAccount: async () => ({ ...account, readAtMs: Date.now() }),
      readPaid: async () => 0n,
    };
    return { promise, decision: await decideOn(deps, { signer: signer.address, peer: signer.peerId, salt, promise, consumed: 0n }) };
  };
  return { accept, guarding, told, cleared, ended, ledger };
}

describe("net: what exits tell one another of promises", (test) => {
  test("a payer that promises one deposit to two exits is found out across a relay: sessions end, what it owes is cleared, it gets nothing more", async () => {
    await using relay = await startPeer({ dht: false });
    const bootstrap = relay.network.addresses();
    await using first = await startPeer({ dht: false, listen: [], bootstrap });
    await using second = await startPeer({ dht: false, listen: [], bootstrap });
    await using payer = await startPeer({ dht: false, listen: [], bootstrap });
    const topic = shardTopic(shardOf(payer.identity.address));
    const reaching = new Set<TestPeer>();
    for (const peer of [first, second, payer]) peer.network.onSubscriber(topic, () => reaching.add(peer));
    const peers = [relay, first, second];
    const guards: Awaited<ReturnType<typeof guard>>[] = [];
    for (const peer of peers) guards.push(await guard(peer, payer.identity));
    const [atRelay, atFirst, atSecond] = guards as [(typeof guards)[0], (typeof guards)[0], (typeof guards)[0]];
    try {
      await until("the relay listens", () => reaching.size === 3);
      assert.deepEqual((await atFirst.accept(50_000n, 50_000n)).decision, { accepted: true, fresh: true });
      // the same money again: as if nothing had been promised elsewhere
      const { decision } = await atSecond.accept(60_000n, 60_000n);
      assert.ok(decision.accepted || decision.refusal === "conflict-known");
      for (const one of guards) await until("all have found out", () => one.guarding.conflicts().length === 1);
      assert.deepEqual(
        atFirst.ended.map((event) => event.type === "expelled" && event.code),
        ["PAYER_CONFLICT"],
      );
      assert.equal(atFirst.cleared.length, 1);
      assert.equal(atRelay.cleared.length, 0);
      assert.ok(atFirst.told.some((event) => (event as { type: string }).type === "conflict"));
      assert.equal(atFirst.guarding.conflicts()[0]?.owed, 50_000n);
      const more = await atFirst.accept(1n, 110_001n);
      assert.deepEqual(more.decision, { accepted: false, refusal: "conflict-known" });
    } finally {
      for (const { guarding } of guards) await guarding.stop();
    }
  });
});
