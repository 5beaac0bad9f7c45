import assert from "node:assert/strict";
import { judge } from "../../../src/network/dial-back.ts";
import { reachingStep } from "../../../src/network/reaching.ts";
import { describe } from "../../support/harness.ts";

const [ours, elsewhere] = ["45.9.8.7", "45.1.1.1"];
const answer = (network: string, came: boolean, seen = ours) => ({ network, seen, came });

describe("network/reaching", (test) => {
  test("one who has come shows that we are reached, whatever others say; a no takes two networks", () => {
    assert.deepEqual(judge([answer("a", false), answer("b", true)]), { reached: "yes", seen: ours });
    assert.deepEqual(judge([answer("a", false), answer("b", false)]), { reached: "no", seen: ours });
    assert.deepEqual(judge([answer("a", false), answer("a", false)]), { reached: "unknown", seen: ours });
    assert.deepEqual(judge([answer("a", false)], 1), { reached: "no", seen: ours });
    assert.deepEqual(judge([]), { reached: "unknown" });
  });

  test("where we are seen is told by those who came, else by most", () => {
    assert.equal(judge([answer("a", false, elsewhere), answer("b", false, elsewhere), answer("c", true)]).seen, ours);
    assert.equal(judge([answer("a", false), answer("b", false, elsewhere), answer("c", false, elsewhere)]).seen, elsewhere);
  });

  test("an address is withdrawn when twice nobody came, and is back once somebody has", () => {
    const [yes, no, unknown] = (["yes", "no", "unknown"] as const).map((reached) => ({ reached }));
    const after = (...rounds: { reached: "yes" | "no" | "unknown" }[]) =>
      rounds.reduce(reachingStep, { announced: true, missed: 0 }).announced;
    assert.ok(no && yes && unknown);
    assert.deepEqual([after(no), after(no, unknown), after(no, yes, no)], [true, true, true]);
    assert.deepEqual([after(no, no), after(no, unknown, no), after(no, no, unknown)], [false, false, false]);
    assert.equal(after(no, no, no, yes), true);
  });
});
