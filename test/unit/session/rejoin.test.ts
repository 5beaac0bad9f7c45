import assert from "node:assert/strict";
import { QUANTUM_BYTES } from "../../../src/payments/quantum.ts";
import { due } from "../../../src/payments/terms.ts";
import { toConsumerCodec, toProviderCodec } from "../../../src/session/messages.ts";
import { describe } from "../../support/harness.ts";
import { prices, sessionMarket } from "../../support/session-market.ts";
import { until } from "../../support/until.ts";

const soon = () => AbortSignal.timeout(5_000);

/** A session in use whose stream can be broken. */
async function opened() {
  const m = await sessionMarket();
  let lost = 0;
  const onLost = () => {
    lost += 1;
  };
  const session = await m.open({ onLost });
  const take = async (bytes: bigint) => {
    let left = bytes;
    await until(() => {
      left -= m.service.take(left < 100_000n ? left : 100_000n);
      return left === 0n;
    });
  };
  return { m, session, take, lost: () => lost };
}

describe("session: goes on over another stream", (test) => {
  test("a stream that breaks is no end: what was bought is served meanwhile, and then bought on, to the unit", async () => {
    const { m, session, take, lost } = await opened();
    await using _ = m;
    await take(QUANTUM_BYTES / 8n);
    m.line().abort(new Error("cut"));
    await until(() => lost() === 1);
    await take(QUANTUM_BYTES / 8n);
    assert.equal(session.state().phase, "ACTIVE");
    await session.rejoin(soon());
    await take(3n * QUANTUM_BYTES);
    assert.equal(m.server.sessions().length, 1);
    assert.equal(m.server.sessions()[0]?.id, session.id);
    await session.disconnect();
    const { used, cumulative, bought } = session.state();
    const [ours] = m.ledger.channels();
    const [theirs] = m.providerLedger.channels();
    assert.equal(used.bytes, 3n * QUANTUM_BYTES + QUANTUM_BYTES / 4n);
    assert.equal(cumulative, due(prices, bought));
    assert.deepEqual([ours?.cumulative, ours?.consumed], [cumulative, due(prices, used)]);
    assert.deepEqual([theirs?.best.cumulative, theirs?.consumed], [cumulative, due(prices, used)]);
    assert.deepEqual([m.settled, lost()], [["session end"], 1]);
  });

  test("a promise that was lost on the way is made again, to the letter, and is paid for once", async () => {
    const { m, session, take } = await opened();
    await using _ = m;
    const line = m.line();
    line.send = async () => undefined;
    await take((QUANTUM_BYTES * 3n) / 4n);
    await until(() => session.state().pending !== undefined);
    const { cumulative, promises } = session.state();
    assert.ok((m.providerLedger.channels()[0]?.best.cumulative ?? 0n) < cumulative);
    line.abort(new Error("cut"));
    await session.rejoin(soon());
    await until(() => session.state().pending === undefined);
    assert.equal(m.providerLedger.channels()[0]?.best.cumulative, cumulative);
    assert.equal(session.state().promises, promises);
    await session.disconnect();
  });

  test("an acknowledgement that was lost on the way comes again", async () => {
    const { m, session, take } = await opened();
    await using _ = m;
    const invoicedAt = () => session.state().invoicedAtMs;
    await until(() => invoicedAt() !== undefined);
    m.line().receive = () => new Promise(() => undefined);
    // the last frame that is read has been asked for before
    const before = invoicedAt();
    await until(() => invoicedAt() !== before);
    await take((QUANTUM_BYTES * 3n) / 4n);
    const { cumulative } = session.state();
    await until(() => m.providerLedger.channels()[0]?.best.cumulative === cumulative);
    await new Promise((done) => setTimeout(done, 100));
    assert.ok(session.state().pending);
    await session.rejoin(soon());
    await until(() => session.state().pending === undefined);
    await session.disconnect();
  });

  test("a session that is over is not known any more", async () => {
    const { m, session } = await opened();
    await using _ = m;
    m.line().abort(new Error("cut"));
    await m.server.stop();
    await assert.rejects(session.rejoin(soon()), { code: "SESSION_UNKNOWN" });
    session.leave("PEER_UNREACHABLE", "it is gone");
    assert.equal((await session.ended).reason?.message, "it is gone");
  });

  test("nobody else takes a session over, whoever knows its number", async () => {
    const { m, session, take } = await opened();
    await using _ = m;
    const thief = await m.openFramesAs("16Uiu2HAmThief");
    await thief.send(toProviderCodec.encode({ t: "rejoin", session: Uint8Array.from(Buffer.from(session.id, "hex")) }));
    const answer = toConsumerCodec.decode((await thief.receive()) ?? new Uint8Array());
    assert.deepEqual([answer.t, answer.t === "refused" && answer.code], ["refused", "SESSION_UNKNOWN"]);
    await take(2n * QUANTUM_BYTES);
    await session.disconnect();
  });

  test("what breaks where nothing else may take over ends the session, as ever", async () => {
    await using m = await sessionMarket();
    const session = await m.open();
    m.line().abort(new Error("cut"));
    assert.equal((await session.ended).reason?.code, "PEER_UNREACHABLE");
  });
});
