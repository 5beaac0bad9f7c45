import assert from "node:assert/strict";
import { createChosen, mostFailures } from "../../../src/watch/chosen.ts";
import type { WatchOffer } from "../../../src/watch/handing-policy.ts";
import { describe } from "../../support/harness.ts";
import { hourMs } from "./rig.ts";

const offer = (n: number): WatchOffer => ({ peer: `w${n}`, addresses: [`/ip4/10.0.${n}.1/tcp/1`], feeBps: 100 });
function setUp(keepers: string[] = []) {
  const clock = {
    ms: 0,
    nowMs() {
      return this.ms;
    },
  };
  const chosen = createChosen(keepers, clock, () => 0);
  const peers = (...offers: WatchOffer[]) => chosen.choose(offers).map((one) => one?.peer);
  return { clock, chosen, peers };
}

describe("watch/chosen: who has a place", (test) => {
  test("whoever fails is left alone for longer and longer, and comes again in its own place", () => {
    const { clock, chosen, peers } = setUp();
    assert.deepEqual(peers(offer(1), offer(2)), ["w1", "w2", undefined]);
    for (const minutes of [1, 2, 4]) {
      chosen.failed("w1");
      clock.ms += minutes * 60_000 - 1;
      assert.deepEqual(peers(offer(1), offer(2)), [undefined, "w2", undefined]);
      clock.ms += 1;
      assert.deepEqual(peers(offer(1), offer(2)), ["w1", "w2", undefined]);
    }
    chosen.worked("w1");
    chosen.failed("w1");
    clock.ms += 60_000;
    assert.deepEqual(peers(offer(1), offer(2)), ["w1", "w2", undefined]);
  });

  test("after some failures in a row its place goes to another; it may come again half a day later", () => {
    const { clock, chosen, peers } = setUp();
    assert.deepEqual(peers(offer(1)), ["w1", undefined, undefined]);
    for (let i = 0; i < mostFailures; i += 1) chosen.failed("w1");
    clock.ms += 12 * hourMs - 1;
    assert.deepEqual(peers(offer(1)), [undefined, undefined, undefined]);
    clock.ms += 1;
    assert.deepEqual(peers(offer(1)), ["w1", undefined, undefined]);
  });

  test("who watches from an earlier run keeps its place for an hour, heard of or not", () => {
    const { clock, chosen, peers } = setUp(["w1", "w2"]);
    assert.deepEqual(peers(offer(9), offer(2)), [undefined, "w2", "w9"]);
    assert.equal(chosen.isFull(), true);
    clock.ms += hourMs + 1;
    assert.deepEqual(peers(offer(9), offer(2), offer(8)), ["w8", "w2", "w9"]);
  });
});
