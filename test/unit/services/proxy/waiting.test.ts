import assert from "node:assert/strict";
import { streamProtocol } from "../../../../src/services/proxy/protocol.ts";
import { describe } from "../../../support/harness.ts";
import { inMemory, pause, proxyRig, type RigOptions, startTarget } from "../../../support/proxy-rig.ts";
import { until } from "../../../support/until.ts";

const rigWith = (options?: RigOptions) => proxyRig(inMemory(), options);

describe("services/proxy: what is waited for, and how long", (test) => {
  test("both ends wait from what is asked to the first byte that comes down, whatever the exit says", async () => {
    await using rig = await rigWith();
    const waits = () => [rig.handle.unanswered().nowMs > 0, rig.grant.unanswered().nowMs > 0];
    let answer = () => undefined as unknown;
    await using target = await startTarget((socket) => {
      answer = () => socket.write("answer");
      socket.resume();
    });
    assert.deepEqual(waits(), [false, false]);
    const client = await rig.connect(target);
    await pause(5);
    assert.deepEqual(waits(), [true, true], "'connected' is no answer");
    client.resume();
    answer();
    await until(() => rig.handle.usedBytes() === 6n);
    assert.deepEqual(waits(), [false, false]);
    client.write("question");
    await until(() => rig.grant.usedBytes() === 14n);
    await pause(5);
    assert.deepEqual(waits(), [true, true]);
    answer();
    await until(() => rig.handle.usedBytes() === 20n);
    assert.deepEqual(waits(), [false, false]);
  });

  test("what the gate holds back is no answer yet", async () => {
    await using rig = await rigWith({ allow: 0n });
    await using target = await startTarget((socket) => socket.end("answer"));
    const client = await rig.connect(target);
    await pause(30);
    assert.ok(rig.grant.unanswered().nowMs >= 20);
    rig.grant.allow(1n);
    await until(() => rig.handle.usedBytes() === 1n);
    assert.equal(rig.grant.unanswered().nowMs, 0);
    client.destroy();
  });

  test("a target that takes nothing more keeps its exit waiting, also after an answer", async () => {
    await using rig = await rigWith();
    let answer = () => undefined as unknown;
    await using target = await startTarget((socket) => {
      socket.pause();
      answer = () => socket.write("still here");
    });
    const client = await rig.connect(target);
    let held = -1n;
    const all = Buffer.alloc(64 << 20);
    client.write(all);
    await until(async () => {
      const before = held;
      held = rig.grant.usedBytes();
      await pause(100);
      return held === before && held > 0n;
    });
    client.resume();
    answer();
    await until(() => rig.grant.usedBytes() > held);
    await pause(5);
    assert.ok(rig.grant.unanswered().nowMs > 0);
    client.destroy();
  });

  test("closing counts what is under way for as long as it comes, however slowly", async () => {
    const pair = inMemory();
    const { openBytes } = pair.consumer;
    pair.consumer.openBytes = async (...to) => {
      const stream = await openBytes(...to);
      async function* slowly() {
        for await (const bytes of stream.read())
          for (let from = 0; from < bytes.length; from += 8192) {
            yield bytes.subarray(from, from + 8192);
            await pause(10);
          }
      }
      return { ...stream, read: slowly };
    };
    await using rig = await proxyRig(pair, { consumer: { closeMs: 100 } });
    await using target = await startTarget((socket) => socket.pipe(socket));
    const client = await rig.connect(target);
    client.resume().write(Buffer.alloc(8 << 20));
    await until(() => rig.handle.usedBytes() > 64n * 1024n);
    const counted = await rig.handle.close();
    assert.equal(counted, await rig.grant.end());
  });

  /** A clock that the test sets; `waits` tells of consumer and exit. */
  const still = async (pair = inMemory()) => {
    let nowMs = 0;
    const rig = await proxyRig(pair, { clock: { nowMs: () => nowMs } });
    return {
      rig,
      pass: (ms: number) => {
        nowMs += ms;
      },
      waits: () => [rig.handle.unanswered().nowMs, rig.grant.unanswered().nowMs],
      [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose](),
    };
  };

  test("a program that gives up is waited for at both ends a while longer, at the exit the longest, and then no more", async () => {
    await using clocked = await still();
    const { rig, pass, waits } = clocked;
    let left = false;
    await using target = await startTarget((socket) => {
      socket.resume().on("end", () => {
        left = true;
      });
    });
    const client = await rig.connect(target);
    pass(5_000);
    // to the proxy it may still be listening
    client.destroy();
    await until(() => left);
    pass(29_999);
    assert.deepEqual(waits(), [34_999, 34_999]);
    pass(1);
    assert.deepEqual(waits(), [0, 35_000]);
    pass(2_000);
    assert.deepEqual(waits(), [0, 0]);
    assert.deepEqual([rig.handle.unanswered().beyondMs, rig.grant.unanswered().beyondMs], [31_000, 35_000]);
  });

  test("so is a request that the exit refuses", async () => {
    await using clocked = await still();
    const { rig, pass, waits } = clocked;
    await assert.rejects(rig.connect({ host: "10.1.2.3", port: 80 }), { code: "POLICY_DENIED" });
    await pause(50);
    pass(29_999);
    assert.deepEqual(waits(), [29_999, 29_999]);
    pass(1);
    assert.deepEqual(waits(), [0, 30_000]);
    pass(2_000);
    assert.deepEqual(waits(), [0, 0]);
  });

  test("a long upload to a target that says nothing is served time at both ends", async () => {
    await using clocked = await still();
    const { rig, pass, waits } = clocked;
    await using target = await startTarget((socket) => socket.resume());
    const client = await rig.connect(target);
    pass(10_000);
    client.write(Buffer.alloc(1 << 18));
    await until(() => rig.handle.usedBytes() === 1n << 18n);
    assert.deepEqual(waits(), [10_000, 10_000]);
    client.write(Buffer.alloc(1 << 20));
    await until(() => rig.handle.usedBytes() === 5n << 18n);
    assert.deepEqual(waits(), [0, 0]);
    client.destroy();
  });

  test("a request that never came to its header was waited for, for all that the exit knows", async () => {
    const pair = inMemory();
    await using clocked = await still(pair);
    const stream = await pair.consumer.openBytes(pair.exitPeer, streamProtocol, AbortSignal.timeout(5_000));
    await stream.closeWrite();
    await pause(20);
    clocked.pass(1_000);
    assert.deepEqual(clocked.waits(), [0, 1_000]);
  });
});
