import assert from "node:assert/strict";
import { inReach } from "../../../src/node/reaching.ts";
import { describe } from "../../support/harness.ts";

/** A machine where an exit answers, fails or stays silent as it is told to, and time passes when all there is to do is wait. */
function start(exits: Record<string, "answers" | "fails" | "silent">) {
  const dialled: string[] = [];
  const dial = async (exit: string) => {
    dialled.push(exit);
    if (exits[exit] === "silent") await new Promise(() => undefined);
    if (exits[exit] === "fails") throw new Error(`${exit} is not there`);
  };
  const clock = { sleep: async () => void (await new Promise((resolve) => setImmediate(resolve))) };
  return { dialled, tries: inReach(Object.keys(exits), dial, clock, new AbortController().signal) };
}
const next = async <T>(tries: AsyncGenerator<{ exit: T; error?: unknown }>) => (await tries.next()).value as { exit: T; error?: unknown };

describe("node/reaching", (test) => {
  test("the first that answers is the only one dialled", async () => {
    const { tries, dialled } = start({ a: "answers", b: "answers" });
    assert.deepEqual(await next(tries), { exit: "a" });
    assert.deepEqual(dialled, ["a"]);
    assert.deepEqual(await next(tries), { exit: "b" });
    assert.equal((await tries.next()).done, true);
  });

  test("nobody waits for one that says nothing, or that is not there", async () => {
    const { tries, dialled } = start({ a: "silent", b: "fails", c: "answers", d: "answers" });
    assert.deepEqual(await next(tries), { exit: "c" });
    assert.deepEqual(dialled, ["a", "b", "c"]);
  });

  test("one that could not be reached comes last, with why", async () => {
    const { tries } = start({ a: "fails", b: "answers" });
    assert.deepEqual(await next(tries), { exit: "b" });
    const { exit, error } = await next(tries);
    assert.equal(exit, "a");
    assert.match(String(error), /not there/);
    assert.equal((await tries.next()).done, true);
  });
});
