import assert from "node:assert/strict";
import { systemClock } from "../../src/lib/clock.ts";
import type { MystError } from "../../src/lib/errors.ts";
import { silentLogger } from "../../src/lib/ports.ts";
import { clearingDomain } from "../../src/payments/eip712.ts";
import { openPayerLedger } from "../../src/payments/payer-ledger.ts";
import { newSalt, type SignedPromise, signPromise } from "../../src/payments/promise.ts";
import { openProviderLedger } from "../../src/payments/provider-ledger.ts";
import { resumeAnswerCodec, resumeProtocol, resumeQuestionCodec } from "../../src/session/messages.ts";
import { answerHeld, answerResume, createRecall, resumeLost } from "../../src/session/resume.ts";
import { describe } from "../support/harness.ts";
import { soon, startPeer, type TestPeer, until } from "./support.ts";

const domain = clearingDomain({ chainId: 31337, contract: `0x${"11".repeat(20)}` });
const clock = systemClock;
const rich = 1n << 60n;

/** A payer that has promised 100, 200 and 300 to a provider, and 50 to another; and the provider, which has recorded nothing. */
async function market({ aheadMs = 20_000 } = {}) {
  await using undo = new AsyncDisposableStack();
  const [payer, provider] = [undo.use(await startPeer()), undo.use(await startPeer())];
  const account = () => ({
    balance: rich,
    line: rich,
    bond: rich,
    closeAtMs: undefined,
    owner: payer.identity.address,
    readAtMs: Date.now(),
  });
  const ledger = await openPayerLedger({ store: payer.store, identity: payer.identity, clock }, domain);
  await ledger.begin();
  const { channel, salt } = await ledger.channelWith({ address: provider.identity.address, peer: provider.identity.peerId });
  const promises: SignedPromise[] = [];
  for (const cumulative of [100n, 200n, 300n])
    promises.push((await ledger.promise({ channel, cumulative, consumed: 0n, line: rich })) as SignedPromise);
  const elsewhere = await ledger.channelWith({ address: `0x${"0b".repeat(20)}`, peer: "16Uiu2elsewhere" });
  await ledger.promise({ channel: elsewhere.channel, cumulative: 50n, consumed: 0n, line: rich });
  const behind: MystError[] = [];
  await answerResume({
    network: payer.network,
    ledger,
    clock: { nowMs: () => Date.now() + aheadMs },
    onBehind: (error) => behind.push(error),
  });
  const providerLedger = await openProviderLedger({ store: provider.store, self: provider.identity.address, clock }, domain);
  const stop = new AbortController();
  undo.defer(() => stop.abort());
  const considered: string[] = [];
  const resume = () =>
    resumeLost({
      network: provider.network,
      ledger: providerLedger,
      settler: {
        relieve: async () => ({ claims: 0, paid: 0n }) as never,
        overdue: () => false,
        worthClearing: () => 0n,
        consider: (ref) => considered.push(ref.channel),
      },
      readAccount: async () => account(),
      readPaid: async () => 0n,
      limits: { maxUnsettled: rich, minBond: 0n },
      clock,
      log: silentLogger,
      signal: stop.signal,
    });
  const ref = { signer: payer.identity.address, channel };
  /** puts a promise on the provider's disk */
  const had = async (promise: SignedPromise) => {
    await providerLedger.rememberAccount(ref.signer, account());
    const offer = { signer: ref.signer, peer: payer.identity.peerId, salt, promise, consumed: 0n };
    const taken = await providerLedger.accept(offer, { chainReachable: true, limits: { maxUnsettled: rich, minBond: 0n } });
    assert.deepEqual(taken, { accepted: true, fresh: true });
  };
  const meet = (from: TestPeer, to: TestPeer) => from.network.connect(to.identity.peerId, to.network.addresses(), soon());
  const parts = undo.move();
  return {
    ...{ payer, provider, ledger, providerLedger, ref, promises, behind, considered, resume, had, meet },
    best: () => providerLedger.channel(ref)?.best,
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

describe("session/resume: promises that one side has lost, over real streams", (test) => {
  for (const [lost, before] of [
    ["its newest promises", 0],
    ["a channel wholly", undefined],
  ] as const)
    test(`a provider that has lost ${lost} gets the newest to the letter when it meets the payer, and keeps it`, async () => {
      await using m = await market();
      if (before !== undefined) await m.had(m.promises[before] as SignedPromise);
      m.resume();
      await m.meet(m.payer, m.provider);
      // considered once it is on disk, and not before
      await until("the promise is back", () => m.considered.length > 0);
      assert.deepEqual(m.best(), m.promises[2]);
      assert.deepEqual(m.considered, [m.ref.channel]);
      const again = await openProviderLedger({ store: m.provider.store, self: m.provider.identity.address, clock }, domain);
      assert.deepEqual(again.channel(m.ref)?.best, m.promises[2]);
      assert.deepEqual(m.behind, []);
    });

  test("a provider that starts among its payers asks them at once", async () => {
    await using m = await market();
    await m.had(m.promises[1] as SignedPromise);
    await m.meet(m.provider, m.payer);
    m.resume();
    await until("the promise is back", () => m.best()?.cumulative === 300n);
  });

  test("a provider that claims to have less than it acknowledged is given what it was given, and nothing is signed", async () => {
    await using m = await market();
    await m.meet(m.provider, m.payer);
    const before = m.ledger.totals();
    const ask = async (promises: SignedPromise[]) =>
      resumeAnswerCodec.decode(
        await m.provider.network.ask(m.payer.identity.peerId, resumeProtocol, resumeQuestionCodec.encode({ promises }), soon()),
      ).channels;
    for (const claimed of [[], [m.promises[0] as SignedPromise]])
      assert.deepEqual(
        (await ask(claimed)).map(({ promise }) => promise),
        [m.promises[2]],
      );
    assert.deepEqual(await ask([m.promises[2] as SignedPromise]), []);
    assert.deepEqual(m.ledger.totals(), before);
  });

  test("what was signed a moment ago is left to the session that it is for", async () => {
    await using m = await market({ aheadMs: 0 });
    m.resume();
    await m.meet(m.payer, m.provider);
    await new Promise((done) => setTimeout(done, 500));
    assert.equal(m.best(), undefined);
  });

  test("nobody is told of promises to another, and a forged promise stops nobody", async () => {
    await using m = await market();
    await using stranger = await startPeer();
    await m.meet(stranger, m.payer);
    const last = m.promises[2] as SignedPromise;
    const forged = signPromise(domain, stranger.identity, { ...last, cumulative: 10_000n, total: 10_000n, seq: last.seq + (1n << 40n) });
    const answer = await stranger.network.ask(
      m.payer.identity.peerId,
      resumeProtocol,
      resumeQuestionCodec.encode({ promises: [forged, { ...forged, signature: last.signature }] }),
      soon(),
    );
    assert.deepEqual(resumeAnswerCodec.decode(answer).channels, []);
    assert.equal(m.ledger.totals().standing, "open");
    await assert.rejects(stranger.network.ask(m.payer.identity.peerId, resumeProtocol, new Uint8Array(5_000), soon()));
    await assert.rejects(stranger.network.ask(m.payer.identity.peerId, resumeProtocol, Uint8Array.of(1, 2, 3), soon()));
  });

  test("a payer that is shown a promise of its own that its ledger lacks signs nothing more", async () => {
    await using m = await market();
    const last = m.promises[2] as SignedPromise;
    // signed with the same key, from a ledger that was lost since
    const more = { ...last, cumulative: 400n, total: 450n, seq: last.seq + (1n << 30n) };
    await m.had(signPromise(domain, m.payer.identity, more));
    m.resume();
    await m.meet(m.provider, m.payer);
    await until("the payer knows", () => m.behind.length === 1);
    assert.equal(m.behind[0]?.code, "LEDGER_BEHIND");
    assert.match(m.behind[0]?.hint ?? "", /mystnode wallet retire/);
    assert.equal(m.ledger.totals().standing, "behind");
    const next = { channel: m.ref.channel, cumulative: 500n, consumed: 0n, line: rich };
    await assert.rejects(m.ledger.promise(next), { code: "LEDGER_BEHIND" });
    const again = await openPayerLedger({ store: m.payer.store, identity: m.payer.identity, clock }, domain);
    await assert.rejects(again.promise(next), { code: "LEDGER_BEHIND" });
  });

  test("a payer asks what a provider has before it signs anything new for it, once; who does not say is not paid", async () => {
    await using m = await market();
    await m.meet(m.payer, m.provider);
    let asked = 0;
    const network = {
      ...m.payer.network,
      ask: (...question: Parameters<TestPeer["network"]["ask"]>) => {
        asked += 1;
        return m.payer.network.ask(...question);
      },
    };
    const recall = createRecall({ network, ledger: m.ledger });
    const exit = { peer: m.provider.identity.peerId };
    await assert.rejects(recall(exit, soon()), { code: "PEER_REFUSED" });
    await answerHeld({ network: m.provider.network, ledger: m.providerLedger });
    await m.had(m.promises[2] as SignedPromise);
    await recall(exit, soon());
    await recall(exit, soon());
    assert.equal(asked, 2);
    // nothing was ever promised to this one
    await recall({ peer: "16Uiu2stranger" }, soon());
    assert.equal(asked, 2);
    assert.equal(m.ledger.totals().standing, "open");
    // a ledger brought back from before the last promise, with nothing that would tell
    await using store = await startPeer({ gossip: false, dht: false, listen: [] });
    const older = await openPayerLedger({ store: store.store, identity: m.payer.identity, clock }, domain);
    await older.begin();
    const { channel } = await older.channelWith({ address: m.provider.identity.address, peer: exit.peer });
    await older.promise({ channel, cumulative: 100n, consumed: 0n, line: rich });
    await assert.rejects(createRecall({ network, ledger: older })(exit, soon()), { code: "LEDGER_BEHIND" });
    await assert.rejects(older.promise({ channel, cumulative: 200n, consumed: 0n, line: rich }), { code: "LEDGER_BEHIND" });
  });

  test("what comes back is checked as any promise: a channel of another salt is none", async () => {
    await using m = await market();
    m.ledger.channels()[0]?.salt.set(newSalt());
    m.resume();
    await m.meet(m.payer, m.provider);
    await new Promise((done) => setTimeout(done, 500));
    assert.equal(m.best(), undefined);
  });
});
