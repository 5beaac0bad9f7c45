import assert from "node:assert/strict";
import { PassThrough, Writable } from "node:stream";
import { ask } from "../../../src/cli/prompt.ts";
import { MystError } from "../../../src/lib/errors.ts";
import { describe } from "../../support/harness.ts";

/** A terminal that notes what is written to it and when its echo is off. */
function terminal() {
  const seen: string[] = [];
  const input = Object.assign(new PassThrough(), {
    isTTY: true,
    setRawMode: (raw: boolean) => void seen.push(raw ? "<echo off>" : "<echo on>"),
  }) as unknown as NodeJS.ReadStream;
  const output = new Writable({ write: (chunk, _, done) => done(void seen.push(String(chunk))) });
  return { input, output, seen };
}
const patient = { race: <T>(work: Promise<T>) => work };

describe("cli/prompt", (test) => {
  test("a secret is never shown: the echo is off before the question is there, until after the answer", async () => {
    const { input, output, seen } = terminal();
    const answer = ask("Passphrase?", patient, true, { input, output });
    input.push("hunter2\r");
    assert.equal(await answer, "hunter2");
    assert.deepEqual(seen, ["<echo off>", "Passphrase?", "<echo on>", "\n"]);
  });

  test("a plain question shows what is typed", async () => {
    const { input, output, seen } = terminal();
    const answer = ask("Sure? ", patient, false, { input, output });
    input.push("yes\r");
    assert.equal(await answer, "yes");
    assert.ok(seen.join("").includes("Sure? ") && seen.join("").includes("yes"));
  });

  test("being interrupted gives the terminal its echo back", async () => {
    const { input, output, seen } = terminal();
    const race = () => Promise.reject(new MystError("INTERRUPTED", "interrupted"));
    await assert.rejects(ask("Passphrase?", { race }, true, { input, output }));
    assert.deepEqual(seen.slice(-2), ["<echo on>", "\n"]);
  });

  test("being interrupted ends the question's line", async () => {
    const { input, output, seen } = terminal();
    const race = () => Promise.reject(new MystError("INTERRUPTED", "interrupted"));
    await assert.rejects(ask("Deposit?", { race }, false, { input, output }));
    assert.equal(seen.filter((part) => part.includes("\n")).length, 1);
  });
});
