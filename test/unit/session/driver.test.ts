import assert from "node:assert/strict";
import { mock } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { ProviderChannel } from "../../../src/payments/provider-ledger.ts";
import { QUANTUM_BYTES, quantumMoney } from "../../../src/payments/quantum.ts";
import { due } from "../../../src/payments/terms.ts";
import { toProviderCodec } from "../../../src/session/messages.ts";
import { describe } from "../../support/harness.ts";
import type { meteredService } from "../../support/metered-service.ts";
import { prices, sessionMarket } from "../../support/session-market.ts";
import { until } from "../../support/until.ts";

type Market = Awaited<ReturnType<typeof sessionMarket>>;
const broken = async () => {
  throw new Error("broken");
};

/** Takes `bytes`, waiting for credit where it must. */
const takeAll = async (service: ReturnType<typeof meteredService>, bytes: bigint) => {
  let left = bytes;
  await until(() => {
    left -= service.take(left < 100_000n ? left : 100_000n);
    return left === 0n;
  });
};

describe("session: both drivers on real ledgers", (test) => {
  test("a peer that talks faster than it is answered is read no faster than it is answered", async () => {
    await using m = await sessionMarket();
    m.chain("silent");
    const opening = m.open().catch(() => undefined);
    await until(() => m.framesRead() > 1);
    const flood = toProviderCodec.encode({ t: "promise", n: 1, bought: { bytes: 1n, ms: 1 } });
    for (let i = 0; i < 1_000; i += 1) await m.line().send(flood);
    await new Promise((done) => setTimeout(done, 100));
    assert.ok(m.framesRead() < 10, `${m.framesRead()} frames were read`);
    m.line().abort(new Error("enough"));
    await opening;
  });

  test("a service that is no VPN is metered, paid as it is used, and both ledgers agree", async () => {
    await using m = await sessionMarket();
    const told = new Set<string>();
    const session = await m.open({ onPromise: (_, __, sessionId) => told.add(sessionId) });
    await takeAll(m.service, 5n * QUANTUM_BYTES);
    await session.disconnect();
    assert.deepEqual([...told], [session.id]);
    const state = session.state();
    assert.equal(state.reason, undefined);
    assert.equal(state.used.bytes, 5n * QUANTUM_BYTES);
    assert.equal(state.cumulative, due(prices, state.bought));
    assert.ok(state.promises >= 5);
    const [theirs] = m.providerLedger.channels();
    const [ours] = m.ledger.channels();
    assert.equal(theirs?.best.cumulative, state.cumulative);
    assert.equal(ours?.cumulative, state.cumulative);
    assert.equal(theirs?.consumed, due(prices, state.used));
    assert.equal(ours?.consumed, theirs?.consumed);
    assert.deepEqual(m.settled, ["session end"]);
  });

  test("what was prepaid and not used carries over to the next session", async () => {
    await using m = await sessionMarket();
    const first = await m.open();
    await first.disconnect();
    const left = first.state().cumulative - due(prices, first.state().used);
    assert.ok(left > 0n);
    const second = await m.open();
    assert.equal(second.state().start.cumulative - second.state().start.consumed, left);
    await takeAll(m.service, QUANTUM_BYTES);
    await second.disconnect();
    const all = m.ledger.channels()[0];
    assert.ok(all && all.cumulative - all.consumed <= quantumMoney(prices, 0n));
  });

  test("a consumer that stops promising gets not a byte beyond what it prepaid", async () => {
    await using m = await sessionMarket();
    const session = await m.open();
    m.line().abort(new Error("cut"));
    let got = 0n;
    for (let i = 0; i < 100; i += 1) got += m.service.take(QUANTUM_BYTES);
    assert.ok(got <= session.state().bought.bytes, `${got} of ${session.state().bought.bytes}`);
    await session.ended;
    await until(() => m.server.sessions().length === 0);
    assert.equal(m.service.take(1n), 0n);
  });

  test("its time ends when it is over, not at the exit's next look at the clock", async () => {
    await using m = await sessionMarket();
    const { admit } = m.service.provider;
    m.service.provider.admit = async (admission) => {
      // the exit looks every 250 ms from the proposal on; the bought time begins 100 ms later
      mock.timers.tick(100);
      return admit(admission);
    };
    mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: Date.now() });
    try {
      const session = await m.open();
      m.line().send = async () => undefined;
      const pass = async (ms: number) => {
        mock.timers.tick(ms);
        for (let i = 0; i < 20; i += 1) await turn();
      };
      await pass(session.state().bought.ms - 1);
      assert.equal(m.service.take(1n), 1n);
      await pass(2);
      assert.equal(m.service.take(1n), 0n);
    } finally {
      await m.server.stop();
      mock.timers.reset();
    }
  });

  test("an exit that is slow to answer, and a service that is slow to open then, each have their own time for it", async () => {
    await using m = await sessionMarket();
    const answerMs = 1_000;
    const [{ admit }, { open }] = [m.service.provider, m.service.consumer];
    m.service.provider.admit = async (admission) => {
      mock.timers.tick(0.7 * answerMs);
      return admit(admission);
    };
    m.service.consumer.open = async (opening) => {
      mock.timers.tick(0.7 * answerMs);
      return open(opening);
    };
    mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: Date.now() });
    try {
      const session = await m.open({ answerMs });
      for (let i = 0; i < 20; i += 1) await turn();
      assert.equal(session.state().phase, "ACTIVE");
    } finally {
      await m.server.stop();
      mock.timers.reset();
    }
  });

  test("an exit that counts more than it gave is disputed and gets no further promise", async () => {
    await using m = await sessionMarket();
    const session = await m.open();
    m.service.inflate(3n * QUANTUM_BYTES);
    await until(() => session.state().phase === "DISPUTED");
    const promised = session.state().cumulative;
    m.service.inflate(QUANTUM_BYTES);
    await new Promise((done) => setTimeout(done, 600));
    assert.equal(session.state().cumulative, promised);
    await session.disconnect();
  });

  for (const [what, spoil] of [
    ["the exit's disk", (m: Market) => Object.assign(m.providerLedger, { consume: broken })],
    ["the consumer's disk", (m: Market) => Object.assign(m.ledger, { consume: broken })],
    ["the end of the service at the exit", (m: Market) => m.service.spoil("exit")],
    ["the end of the service at the consumer", (m: Market) => m.service.spoil("consumer")],
  ] as const)
    test(`ends on both sides although ${what} fails`, async () => {
      await using m = await sessionMarket();
      const session = await m.open();
      await takeAll(m.service, QUANTUM_BYTES);
      spoil(m);
      await session.disconnect();
      await m.server.stop();
      assert.equal(m.server.sessions().length, 0);
      assert.deepEqual(m.settled, ["session end"]);
    });

  test("refuses: over capacity, under its price, terms nobody signed, a service it has not", async () => {
    await using m = await sessionMarket();
    await assert.rejects(m.open({ terms: { perGiB: prices.perGiB - 1n } }), { code: "OFFER_EXPIRED" });
    await assert.rejects(m.open({ terms: { validUntilMs: Date.now() - 1 } }), { code: "OFFER_EXPIRED" });
    const session = await m.open();
    // a second session on the same channel takes the first one's place: it is the same consumer, come back
    const again = await m.open();
    await session.ended;
    assert.equal(m.server.sessions().length, 1);
    await again.disconnect();
  });

  test("a payer whose ledger has lost promises is shown the newest, and signs nothing more", async () => {
    await using m = await sessionMarket();
    const session = await m.open();
    await session.disconnect();
    const { channel, signer, best, peer, salt } = m.providerLedger.channels()[0] as ProviderChannel;
    const lost = { ...best, cumulative: best.cumulative + (1n << 40n), total: best.total + (1n << 40n), seq: best.seq + 1n };
    const offer = { signer, peer, salt, consumed: 0n, promise: m.signElsewhere(lost) };
    await m.providerLedger.accept(offer, { chainReachable: true, limits: { maxUnsettled: 1n << 60n, minBond: 0n } });
    assert.equal(m.providerLedger.channel({ signer, channel })?.cumulative, lost.cumulative);
    await assert.rejects(m.open(), { code: "LEDGER_BEHIND" });
    assert.equal(m.ledger.totals().standing, "behind");
    assert.equal(m.server.sessions().length, 0);
  });

  test("a refusal that the payer's ledger knows all about stops nothing", async () => {
    await using m = await sessionMarket();
    await (await m.open()).disconnect();
    m.late(true);
    const refused = m.open({ terms: { perHour: prices.perHour * 1_000_000n } });
    await assert.rejects(refused, { code: "PROMISE_REFUSED" });
    m.late(false);
    await (await m.open()).disconnect();
    assert.equal(m.ledger.totals().standing, "open");
  });

  test("a proposal that is not one is hung up on", async () => {
    await using m = await sessionMarket();
    for (const frame of [new Uint8Array([1, 2, 3]), new Uint8Array(5000), toProviderCodec.encode({ t: "close" })]) {
      const stream = await m.openFrames();
      await stream.send(frame);
      const answer = await stream.receive();
      assert.ok(answer && answer.length < 300);
      assert.equal(await stream.receive(), undefined);
    }
    assert.equal(m.server.sessions().length, 0);
  });

  test("a chain that never answers does not make the exit seem gone: it refuses in time", async () => {
    await using m = await sessionMarket();
    m.chain("silent");
    mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: Date.now() });
    try {
      const opened = assert.rejects(m.open(), { code: "PROMISE_REFUSED" });
      // disks are not on the mocked clock: it stands still until the chain is asked
      while (m.accountReads() === 0) await turn();
      for (let ms = 0; ms < 10_000; ms += 500) {
        for (let i = 0; i < 20; i += 1) await turn();
        mock.timers.tick(500);
      }
      await opened;
    } finally {
      mock.timers.reset();
    }
  });

  test("while a settlement of its own is overdue an exit gives no new credit, in a session under way neither", async () => {
    await using m = await sessionMarket();
    const session = await m.open();
    m.late(true);
    const end = session.ended;
    await until(() => m.service.take(100_000n) >= 0n && session.state().phase === "CLOSED");
    await end.catch(() => undefined);
    assert.match(session.state().reason?.message ?? "", /overdue/);
    await assert.rejects(m.open(), { code: "PROMISE_REFUSED" });
    m.late(false);
    await (await m.open()).disconnect();
  });

  test("with the chain away, a payer that was read before is served and an unknown one is not", async () => {
    await using m = await sessionMarket();
    m.chain(false);
    await assert.rejects(m.open(), { code: "PROMISE_REFUSED" });
    m.chain(true);
    await (await m.open()).disconnect();
    m.chain(false);
    await (await m.open()).disconnect();
  });
});
