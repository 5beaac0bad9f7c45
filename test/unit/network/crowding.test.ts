import assert from "node:assert/strict";
import { secretOrder } from "../../../src/lib/sample.ts";
import { type Connected, tooMany } from "../../../src/network/crowding.ts";
import { describe } from "../../support/harness.ts";

const one = (peer: string, ip: string, change: Partial<Connected> = {}): Connected => ({
  ...{ peer, address: `/ip4/${ip}/tcp/1`, direction: "inbound", inUse: false, ageMs: 60_000 },
  ...change,
});
const crowd = (count: number, ip = (index: number) => `45.${index >> 8}.${index & 255}.1`) =>
  Array.from({ length: count }, (_, index) => one(`crowd${index}`, ip(index)));
const worth = (peer: string) => Number(peer.startsWith("bonded"));

describe("network/crowding", (test) => {
  test("nobody goes while there is room; of one too many one goes", () => {
    assert.deepEqual(tooMany(crowd(10), worth, secretOrder(), 10), []);
    assert.equal(tooMany(crowd(11), worth, secretOrder(), 10).length, 1);
  });

  test("those we have chosen, those in use and those with a bond stay, however many others come and whenever", () => {
    const ours = one("ours", "46.1.1.1", { direction: "outbound" });
    const used = one("used", "46.1.2.1", { inUse: true });
    const bonded = one("bonded", "46.1.3.1");
    const gone = tooMany([...crowd(50), ours, used, bonded, ...crowd(50)], worth, secretOrder(), 20);
    assert.equal(gone.length, 83);
    assert.ok(gone.every((peer) => peer.startsWith("crowd")));
  });

  test("a crowd of one network goes first; of many networks who came first has no advantage", () => {
    const honest = Array.from({ length: 20 }, (_, index) => one(`honest${index}`, `46.2.${index}.1`));
    const near = crowd(100, (index) => `45.0.0.${index}`);
    assert.ok(tooMany([...near, ...honest], worth, secretOrder(), 60).every((peer) => peer.startsWith("crowd")));
    const kept = new Set(honest.map(({ peer }) => peer));
    for (const peer of tooMany([...crowd(100), ...honest], worth, secretOrder(), 60)) kept.delete(peer);
    assert.ok(kept.size > 0, "none of twenty latecomers was kept");
  });

  test("who has just come may ask something, beside the many that are there; of a crowd of newcomers fifty are spared, a few of each network", () => {
    const newcomer = one("newcomer", "46.3.1.1", { ageMs: 0 });
    for (let round = 0; round < 20; round += 1) assert.deepEqual(tooMany([...crowd(10), newcomer], worth, secretOrder(), 10), []);
    const gone = tooMany([...crowd(10), { ...newcomer, ageMs: 5_000 }, newcomer], worth, secretOrder(), 5);
    assert.equal(gone.length, 6, "those spared do not count");
    const near = Array.from({ length: 100 }, (_, index) => one(`near${index}`, `45.0.0.${index}`, { ageMs: 0 }));
    for (let round = 0; round < 20; round += 1) {
      const left = tooMany([...near, ...crowd(10), newcomer], worth, secretOrder(), 10);
      assert.equal(left.length, 51, "fifty newcomers are spared");
      assert.ok(!left.includes("newcomer"), "a crowd of one network takes the place of nobody else");
    }
  });
});
