import assert from "node:assert/strict";
import { setTimeout as wait } from "node:timers/promises";
import type { NodeProcess } from "../../../src/devnet/processes.ts";
import { createSupervisor } from "../../../src/devnet/supervisor.ts";
import { isMystError, MystError } from "../../../src/lib/errors.ts";
import { describe } from "../../support/harness.ts";

function fakeNode(name: string, did: string[]) {
  const { promise: ended, resolve } = Promise.withResolvers<number>();
  const stop = async () => {
    did.push(`stop ${name}`);
    resolve(0);
  };
  const node: NodeProcess = { name, dataDir: "", pid: 1, ended, stop };
  return { node, end: resolve };
}

describe("devnet/supervisor: what was started is ended", (test) => {
  test("waits for what is being started, then ends nodes first and the rest after them, once", async () => {
    const did: string[] = [];
    const supervisor = createSupervisor("/x");
    supervisor.part("anvil", async () => void did.push("stop anvil"));
    const late = supervisor.starting(
      (async () => {
        await wait(20);
        did.push("late one started");
        supervisor.node(fakeNode("exit", did).node);
      })(),
    );
    await Promise.all([supervisor.stop(), supervisor.stop(), late]);
    assert.deepEqual(did, ["late one started", "stop exit", "stop anvil"]);
    assert.ok(supervisor.signal.aborted);
  });

  test("a start that fails does not keep the others from being ended", async () => {
    const did: string[] = [];
    const supervisor = createSupervisor("/x");
    supervisor.node(fakeNode("exit", did).node);
    const failing = supervisor.starting(Promise.reject(new Error("no")));
    await assert.rejects(failing);
    await supervisor.stop();
    assert.deepEqual(did, ["stop exit"]);
  });

  test("a part that ends by itself breaks everything off and is named, one that may end is not", async () => {
    const did: string[] = [];
    const supervisor = createSupervisor("/x");
    const consumer = fakeNode("consumer", did);
    const exit = fakeNode("exit-us", did);
    supervisor.node(consumer.node);
    supervisor.node(exit.node);
    supervisor.expectEnd("consumer");
    consumer.end(0);
    await wait(5);
    assert.equal(supervisor.signal.aborted, false);
    exit.end(1);
    await assert.rejects(supervisor.failed, /exit-us ended by itself \(1\)/);
    assert.ok(supervisor.signal.aborted);
    const told = supervisor.explain(new MystError("INTERRUPTED", "interrupted"));
    assert.ok(isMystError(told, "INTERNAL") && /exit-us/.test(told.message));
    const own = new MystError("TOOL_MISSING", "no anvil");
    assert.equal(supervisor.explain(own), own);
  });

  test("the ends of parts that it ended itself are no failure", async () => {
    const did: string[] = [];
    const supervisor = createSupervisor("/x");
    let failed = false;
    supervisor.failed.catch(() => {
      failed = true;
    });
    supervisor.node(fakeNode("exit", did).node);
    await supervisor.stop();
    await wait(5);
    assert.equal(failed, false);
  });

  test("what asks the devnet to end is heard", () => {
    const outer = new AbortController();
    const supervisor = createSupervisor("/x", outer.signal);
    outer.abort();
    assert.ok(supervisor.signal.aborted);
  });
});
