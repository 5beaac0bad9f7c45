import assert from "node:assert/strict";
import { due } from "../../../src/payments/terms.ts";
import { frameOf, openCheat, replyOn } from "../../fault/support/attack/cheat.ts";
import { openDoor, prices } from "../../fault/support/attack/door.ts";
import { describe } from "../../support/harness.ts";

const bought = { bytes: 1n << 20n, ms: 600_000 };
const paid = due(prices, bought);

describe("session: an exit that has lost its ledger", (test) => {
  test("serves nothing again that was cleared, and says what is used up; what is promised beyond is served", async () => {
    await using door = await openDoor(() => ({ paid }));
    // its other channel would be one that the contract has paid nothing on
    const cheat = await openCheat(door, { ...(await door.payer()), standing: "closing" });
    const answerTo = async (proposal: ReturnType<typeof cheat.proposal>) => {
      const stream = await cheat.payer.open();
      await stream.send(frameOf(proposal));
      const reply = await replyOn(stream);
      stream.abort(new Error("told"));
      return reply;
    };
    const { promise } = cheat.proposal({ bought });
    assert.equal(promise?.cumulative, paid);
    cheat.paid(promise);
    for (let tries = 0; tries < 2; tries += 1) {
      const refused = await answerTo(cheat.proposal({ bought, consumed: 0n, promise }));
      assert.equal(refused?.t === "refused" && refused.code, "CREDIT_MISMATCH");
      assert.equal(refused?.t === "refused" && refused.consumed, paid);
    }
    cheat.lane.consumed = paid;
    assert.equal((await answerTo(cheat.proposal({ bought })))?.t, "accepted");
  });
});
