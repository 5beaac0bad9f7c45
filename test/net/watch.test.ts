import assert from "node:assert/strict";
import { systemClock as clock } from "../../src/lib/clock.ts";
import { silentLogger as log } from "../../src/lib/ports.ts";
import { openProviderLedger } from "../../src/payments/provider-ledger.ts";
import { openHanded } from "../../src/watch/handed.ts";
import { startHanding } from "../../src/watch/handing.ts";
import { type HandedCheck, watchAnswerCodec, watchProtocol, watchQuestionCodec } from "../../src/watch/protocol.ts";
import { startWatcher } from "../../src/watch/watcher.ts";
import { describe } from "../support/harness.ts";
import { account, domain } from "../unit/payments/fixtures.ts";
import { dayMs, fakeContract, handed, payerOf } from "../unit/watch/rig.ts";
import { soon, startPeer, type TestPeer } from "./support.ts";

const feeBps = 200;

/** A peer that watches, over a contract in memory where the first payers have money. */
async function openWatcher() {
  await using undo = new AsyncDisposableStack();
  const peer = undo.use(await startPeer({ gossip: false, dht: false }));
  const contract = fakeContract();
  for (let n = 0; n < 4; n += 1) contract.state.accounts.set(payerOf(n).address, account());
  const { network, store } = peer;
  const watcher = undo.use(
    await startWatcher(
      {
        ...{ network, store, chain: contract.chain, domain, self: peer.identity.address, minBond: 100n, clock, log },
        here: () => new Set<string>(),
      },
      { feeBps },
    ),
  );
  const opened = undo.move();
  return { ...contract, peer, watcher, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

const offerOf = ({ identity, network }: TestPeer, fee = feeBps) => ({ peer: identity.peerId, addresses: network.addresses(), feeBps: fee });
const checkOf = (of: Parameters<typeof handed>[0]) => handed({ deadlineMs: Date.now() + 30 * dayMs, ...of });
const asking = (from: TestPeer, to: TestPeer) => async (bytes: Uint8Array) => {
  await from.network.connect(to.identity.peerId, to.network.addresses(), soon());
  return from.network.ask(to.identity.peerId, watchProtocol, bytes, soon());
};

describe("watch over real streams", (test) => {
  test("a provider's newest promises reach the watchers, once; one that lies, breaks off or knows no such question holds up no other", async () => {
    await using undo = new AsyncDisposableStack();
    const honest = undo.use(await openWatcher());
    const liar = undo.use(await startPeer({ gossip: false, dht: false }));
    const deaf = undo.use(await startPeer({ gossip: false, dht: false }));
    let asked = 0;
    await liar.network.answer(watchProtocol, { maxQuestion: 8_192, maxAnswer: 65_000 }, async () => {
      asked += 1;
      if (asked === 1) throw new Error("no");
      return new Uint8Array(60_000);
    });
    const provider = undo.use(await startPeer({ gossip: false, dht: false }));
    const { store, identity, network } = provider;
    const ledger = await openProviderLedger({ store, self: identity.address, clock }, domain);
    const theirs = await openHanded(store, domain, identity.address);
    const handing = undo.use(
      startHanding(
        {
          ...{ network, ledger, identity, domain, clock, log, handed: theirs, chain: honest.chain },
          offers: () => [offerOf(liar), offerOf(honest.peer), offerOf(deaf)],
          look: async () => undefined,
        },
        { maxFeeBps: 200, random: () => 0 },
      ),
    );
    for (const [n, cumulative] of [1_000n, 2_000n].entries()) {
      const { signer, salt, promise } = checkOf({ provider: identity, payer: payerOf(n), cumulative, seq: BigInt(Date.now()) << 20n });
      await ledger.rememberAccount(signer, account({ readAtMs: Date.now() }));
      const limits = { maxUnsettled: 1n << 40n, minBond: 0n };
      const taken = await ledger.accept({ signer, peer: payerOf(n).peerId, salt, promise, consumed: 0n }, { chainReachable: true, limits });
      assert.deepEqual(taken, { accepted: true, fresh: true });
    }
    await handing.now();
    await handing.now();
    assert.deepEqual([honest.watcher.view().channels, honest.watcher.view().amount], [2, 3_000n]);
    for (const channel of ledger.channels()) {
      const watched = theirs.watched(channel, Date.now());
      assert.deepEqual([watched?.amount, watched?.by], [channel.cumulative, [honest.peer.identity.peerId]]);
    }
    assert.equal(asked, 1);
  });

  test("what no provider would send is refused, and keeps nobody from being watched", async () => {
    await using undo = new AsyncDisposableStack();
    const { peer, watcher, state } = undo.use(await openWatcher());
    const [attacker, honest] = [
      undo.use(await startPeer({ gossip: false, dht: false })),
      undo.use(await startPeer({ gossip: false, dht: false })),
    ];
    const attack = asking(attacker, peer);
    const good = checkOf({ provider: honest.identity });
    const sent = async (checks: HandedCheck[]) => watchAnswerCodec.decode(await attack(watchQuestionCodec.encode({ checks }))).outcomes;

    for (const bytes of [
      new Uint8Array(8_193),
      new Uint8Array(0),
      Uint8Array.of(0xbf, 1, 2),
      watchQuestionCodec.encode({ checks: [good] }).slice(0, -1),
    ])
      await assert.rejects(attack(bytes));
    // another provider's check, overheard and to the letter; or as one's own
    assert.deepEqual(await sent([good]), ["invalid"]);
    const own = checkOf({ provider: attacker.identity });
    assert.deepEqual(await sent([{ ...good, salt: own.salt, promise: own.promise }]), ["invalid"]);
    assert.deepEqual(await sent([{ ...own, check: { ...own.check, signature: new Uint8Array(64) } }]), ["invalid"]);
    assert.deepEqual(await sent([{ ...own, promise: { ...own.promise, signature: new Uint8Array(64).fill(255) } }]), ["invalid"]);
    assert.equal(state.reads, 0);

    // as fast as it can, with real money on one deposit
    const flood = Array.from({ length: 16 }, (_, i) => checkOf({ provider: attacker.identity, salt: i, cumulative: 10n }));
    const outcomes: string[] = [];
    for (let i = 0; i < 60; i += 1) outcomes.push(...(await sent(flood).catch(() => ["refused"])));
    assert.ok(outcomes.includes("refused") && outcomes.includes("later"), "the flood is never put off");
    assert.deepEqual(watchAnswerCodec.decode(await asking(honest, peer)(watchQuestionCodec.encode({ checks: [good] }))).outcomes, ["kept"]);
    assert.equal(watcher.view().providers, 2);
  });
});
