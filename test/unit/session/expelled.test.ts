import assert from "node:assert/strict";
import type { Sight } from "../../../src/payments/channel.ts";
import { QUANTUM_BYTES } from "../../../src/payments/quantum.ts";
import { describe } from "../../support/harness.ts";
import { sessionMarket } from "../../support/session-market.ts";
import { until } from "../../support/until.ts";

const sight: Sight = { standing: "clear", totalBefore: 0n, total: 0n, seen: undefined, othersUnseen: 0n, channels: 1, exits: 1 };
/** What a provider knows of its payers elsewhere, as it is now. */
const knowing = (now: () => Sight, shown: string[] = []) => ({
  watch: { sight: now, take: () => undefined },
  show: async () => void shown.push("shown"),
  accepted: () => void shown.push("accepted"),
});

describe("session: a payer that has signed what cannot all be true", (test) => {
  test("its session ends with a code that says so, and what it has used is cleared", async () => {
    await using m = await sessionMarket();
    const session = await m.open();
    m.service.take(QUANTUM_BYTES / 2n);
    const [running] = m.server.sessions();
    running?.send({ type: "expelled", code: "PAYER_CONFLICT", message: "found out" });
    const state = await session.ended;
    assert.deepEqual(state.reason, { code: "PAYER_CONFLICT", message: "PAYER_CONFLICT: found out" });
    await running?.over;
    assert.equal(running?.state().phase, "CLEARABLE");
    assert.deepEqual(m.settled, ["session end"]);
    assert.deepEqual(m.server.sessions(), []);
  });

  test("its proposal is refused with that code", async () => {
    await using m = await sessionMarket({ heads: knowing(() => ({ ...sight, standing: "conflict" })) });
    await assert.rejects(m.open(), { code: "PAYER_CONFLICT" });
    assert.deepEqual(m.providerLedger.channels(), []);
  });

  test("a session that has to wait until others have seen its promises goes on when they have", async () => {
    let now: Sight = { ...sight, seen: { cumulative: 0n, atMs: Date.now() } };
    const shown: string[] = [];
    await using m = await sessionMarket({ heads: knowing(() => now, shown) });
    const session = await m.open();
    assert.deepEqual(shown, ["accepted"]);
    now = { ...now, channels: 1 << 30 };
    // nothing more is taken at once, and the exit stands still
    const took = () => m.service.take(100_000n);
    await until(() => took() === 0n && shown.includes("shown"));
    const before = session.state().promises;
    assert.equal(session.state().phase, "ACTIVE");
    now = { ...now, channels: 1, seen: { cumulative: session.state().cumulative, atMs: Date.now() } };
    await until(() => took() > 0n && session.state().promises > before);
    await session.disconnect();
    assert.equal(session.state().reason, undefined);
  });
});
