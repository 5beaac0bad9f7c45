import assert from "node:assert/strict";
import type { Hex } from "../../../../src/lib/codec.ts";
import type { Validity } from "../../../../src/network/network.ts";
import type { SignedHead } from "../../../../src/payments/heads/head.ts";
import { type Checked, createLanes } from "../../../../src/payments/heads/lanes.ts";
import { describe } from "../../../support/harness.ts";

const signer: Hex = `0x${"ab".repeat(20)}`;
const head = (cumulative: number, channel = 1): SignedHead => ({
  signer,
  promise: {
    ...{ channel: `0x${channel.toString(16).padStart(64, "0")}`, cumulative: BigInt(cumulative), total: 0n, seq: 1n },
    signature: new Uint8Array(64),
  },
});

/** Lanes on a clock of their own; what was looked at, and what became of each head. */
function rig(verdict: (head: SignedHead) => Checked = () => ({ validity: "accept" }), drawn = 0.5) {
  let nowMs = 0;
  const sleepers: { atMs: number; wake: () => void }[] = [];
  const clock = {
    nowMs: () => nowMs,
    sleep: (ms: number, signal?: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        sleepers.push({ atMs: nowMs + ms, wake: resolve });
        signal?.addEventListener("abort", () => reject(signal.reason));
      }),
  };
  const checked: number[] = [];
  const lanes = createLanes({
    clock,
    random: () => drawn,
    check: async (one) => {
      checked.push(Number(one.promise.cumulative));
      return verdict(one);
    },
  });
  const became = new Map<string, { validity: Validity; atMs: number }>();
  const turn = async () => {
    for (let i = 0; i < 10; i += 1) await new Promise((resolve) => setImmediate(resolve));
  };
  return {
    ...{ lanes, checked, became },
    offer: async (cumulative: number, from = "a", channel = 1) => {
      void lanes.offer(head(cumulative, channel), from).then((validity) => became.set(`${from} ${cumulative}`, { validity, atMs: nowMs }));
      await turn();
    },
    pass: async (ms: number) => {
      for (const endMs = nowMs + ms; ; ) {
        const next = sleepers.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0];
        if (!next) {
          nowMs = endMs;
          return;
        }
        sleepers.splice(sleepers.indexOf(next), 1);
        nowMs = Math.max(nowMs, next.atMs);
        next.wake();
        await turn();
      }
    },
  };
}

describe("payments/heads: lanes", (test) => {
  test("the first head is looked at at once, and passed on after a while", async () => {
    const { offer, pass, checked, became } = rig();
    await offer(10);
    assert.deepEqual(checked, [10]);
    await pass(499);
    assert.equal(became.size, 0);
    await pass(1);
    assert.deepEqual(became.get("a 10"), { validity: "accept", atMs: 500 });
  });

  test("what comes within a second waits, the most money is looked at first, and takes the place of what waits to be passed on", async () => {
    const known: number[] = [];
    const { offer, pass, checked, became } = rig((one) => {
      const cumulative = Number(one.promise.cumulative);
      if (known.some((each) => each >= cumulative)) return { validity: "ignore" };
      known.push(cumulative);
      return { validity: "accept" };
    }, 0.9);
    await offer(10);
    await offer(11, "a");
    await offer(13, "a");
    await offer(12, "a");
    await offer(30, "b");
    assert.deepEqual(checked, [10]);
    await pass(1_000);
    assert.deepEqual(checked, [10, 30, 13]);
    await pass(3_000);
    const all = Object.fromEntries([...became].map(([name, { validity, atMs }]) => [name, `${validity} ${Math.round(atMs)}`]));
    // 2 s * 0.9^2 after the first was taken
    assert.deepEqual(all, { "a 10": "ignore 1000", "a 11": "ignore 0", "a 12": "ignore 0", "a 13": "ignore 1000", "b 30": "accept 1620" });
  });

  test("a forged head costs its neighbour, and no other head its place", async () => {
    const { offer, pass, checked, became } = rig((one) => ({ validity: one.promise.cumulative === 99n ? "reject" : "accept" }));
    await offer(1);
    await offer(99, "forger");
    await offer(50, "exit");
    await pass(1_000);
    assert.deepEqual(checked, [1, 99, 50]);
    assert.equal(became.get("forger 99")?.validity, "reject");
    await pass(500);
    assert.equal(became.get("exit 50")?.validity, "accept");
  });

  test("channels do not wait for each other, nor what is urgent for anything", async () => {
    const { offer, checked, became } = rig((one) => ({ validity: "accept", urgent: one.promise.cumulative === 2n }));
    await offer(1, "a", 1);
    await offer(2, "a", 2);
    assert.deepEqual(checked, [1, 2]);
    assert.equal(became.get("a 2")?.validity, "accept");
  });

  test("so many wait to be passed on at most: the oldest goes before its time, and nothing is lost", async () => {
    const many = rig();
    for (let channel = 0; channel < 4_097; channel += 1)
      void many.lanes.offer(head(channel, channel), "a").then((validity) => many.became.set(String(channel), { validity, atMs: 0 }));
    await many.pass(0);
    for (let i = 0; i < 50; i += 1) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual([...many.became], [["0", { validity: "accept", atMs: 0 }]]);
  });

  test("at the end nothing is left waiting", async () => {
    const { lanes, offer, became } = rig();
    await offer(1);
    await offer(2);
    lanes.stop();
    await offer(3);
    assert.deepEqual(
      [...became.values()].map(({ validity }) => validity),
      ["ignore", "ignore", "ignore"],
    );
  });
});
