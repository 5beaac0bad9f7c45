import assert from "node:assert/strict";
import { networkPair } from "../../../support/byte-pipe.ts";
import { describe } from "../../../support/harness.ts";
import { type Pair, pause, proxyRig, type RigOptions, startTarget } from "../../../support/proxy-rig.ts";
import { until } from "../../../support/until.ts";

const inMemory = (): Pair => {
  const [consumer, exit] = networkPair("consumer", "exit");
  return { consumer, exit, consumerPeer: "consumer", exitPeer: "exit", [Symbol.asyncDispose]: async () => undefined };
};
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

  test("a request that came to nothing is waited for at both ends a while longer", async () => {
    await using rig = await rigWith();
    await assert.rejects(rig.connect({ host: "10.1.2.3", port: 80 }), { code: "POLICY_DENIED" });
    const before = rig.handle.unanswered().nowMs;
    await pause(20);
    assert.ok(rig.handle.unanswered().nowMs >= before + 10);
    assert.ok(rig.grant.unanswered().nowMs >= before + 10);
  });
});
