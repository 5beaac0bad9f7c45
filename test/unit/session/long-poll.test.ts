import assert from "node:assert/strict";
import { mock } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { QUANTUM_MS } from "../../../src/payments/quantum.ts";
import { due } from "../../../src/payments/terms.ts";
import type { ConsumerSession } from "../../../src/session/consumer-driver.ts";
import { describe } from "../../support/harness.ts";
import { prices, sessionMarket } from "../../support/session-market.ts";

/** Lets time pass on the mocked clock. Disks are not on it: while a purchase is being written down it stands still. */
const pass = async (ms: number, session: Pick<ConsumerSession, "state">) => {
  for (let passed = 0; passed < ms; passed += 50) {
    mock.timers.tick(50);
    for (let i = 0; i < 8 || (session.state().pending && session.state().phase === "ACTIVE"); i += 1) await turn();
  }
};

describe("session: an answer that takes a minute, both drivers on real ledgers", (test) => {
  for (const honest of [true, false])
    test(
      honest ? "is let through, is not paid for, and the session goes on" : "is not paid for to an exit that sells the time",
      async () => {
        await using m = await sessionMarket();
        mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: Date.now() });
        try {
          if (!honest) m.service.sellWaits();
          const session = await m.open({ terms: { validUntilMs: Date.now() + 600_000 } });
          await pass(2_000, session);
          m.service.asks();
          m.service.isAsked();
          await pass(60_000, session);
          assert.equal(session.state().phase, "ACTIVE");
          assert.ok(session.state().bought.ms <= 2_000 + QUANTUM_MS + 500, `${session.state().bought.ms} ms are bought`);
          // what sells its waits has used up what was bought, and is its own prisoner
          assert.equal(m.service.answers(), honest);
          m.service.seesAnswer();
          await pass(10_000, session);
          assert.equal(session.state().phase, "ACTIVE");
          assert.ok(m.service.answers());
          const [theirs] = m.server.sessions();
          assert.ok(Math.abs((theirs?.state().used.ms ?? 0) - session.state().used.ms) < 1_500);
          assert.ok(session.state().used.ms < 18_000, `${session.state().used.ms} ms were sold`);
          await session.disconnect();
          assert.equal(session.state().reason, undefined);
          const [paid] = m.providerLedger.channels();
          assert.equal(paid?.consumed, due(prices, session.state().used));
          assert.equal(m.ledger.channels()[0]?.consumed, paid?.consumed);
        } finally {
          await m.server.stop();
          mock.timers.reset();
        }
      },
      { timeoutMs: 60_000 },
    );
});
