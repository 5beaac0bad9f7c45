import assert from "node:assert/strict";
import { MystError } from "../../../src/lib/errors.ts";
import { QUANTUM_BYTES } from "../../../src/payments/quantum.ts";
import { describe } from "../../support/harness.ts";
import { sessionMarket } from "../../support/session-market.ts";
import { until } from "../../support/until.ts";

describe("session: what has reached the consumer", (test) => {
  test("is told with each promise, again and again, and at the end; the exit's side of the service hears it", async () => {
    await using m = await sessionMarket();
    const session = await m.open();
    const first = m.service.take(1_000n);
    await until(() => m.service.told().at(-1) === first);
    // also that nothing has: the exit then knows what was lost
    await until(() => m.service.told().filter((bytes) => bytes === first).length > 1);
    const more = m.service.take(QUANTUM_BYTES / 2n);
    await until(() => m.service.told().at(-1) === first + more);
    const last = m.service.take(1n);
    await session.disconnect();
    assert.equal(m.service.told().at(-1), first + more + last);
  });

  test("a service that breaks ends the session with its reason", async () => {
    await using m = await sessionMarket();
    const session = await m.open();
    m.service.fail(new MystError("TUNNEL_FAILED", "the tunnel is gone"));
    const { phase, reason } = await session.ended;
    assert.deepEqual([phase, reason?.code], ["CLOSED", "TUNNEL_FAILED"]);
  });
});
