import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe } from "./harness.ts";
import { openRecorded } from "./recorded.ts";

const never = new AbortController().signal;

describe("support/recorded", (test, { before, after }) => {
  let directory = "";
  before(() => {
    directory = mkdtempSync(join(tmpdir(), "mr-"));
  });
  after(() => rmSync(directory, { recursive: true }));

  test("a row that was broken off goes on where it was, without what was half done or half written", async () => {
    const file = join(directory, "broken-off");
    const done: string[] = [];
    const stop = new AbortController();
    const once = (kind: string) => async (run: number) => {
      done.push(`${kind}${run}`);
      if (done.length === 4) stop.abort();
      return { found: run };
    };
    const first = openRecorded(file, "row");
    assert.deepEqual(await first.each("a", 2, stop.signal, once("a")), [{ found: 0 }, { found: 1 }]);
    assert.deepEqual(await first.each("b", 3, stop.signal, once("b")), [{ found: 0 }]);
    appendFileSync(file, '{"kind":"b","run":2,"res');
    for (const more of [["b1", "b2"], []]) {
      done.length = 0;
      const again = openRecorded(file, "row");
      assert.equal((await again.each("a", 2, never, once("a"))).length, 2);
      assert.deepEqual(await again.each("b", 3, never, once("b")), [{ found: 0 }, { found: 1 }, { found: 2 }]);
      assert.deepEqual(done, more);
    }
  });

  test("without a file nothing is kept", async () => {
    const { each } = openRecorded(undefined, "row");
    assert.deepEqual(await each("a", 2, never, async (run) => run), [0, 1]);
    assert.deepEqual(await each("a", 2, never, async (run) => run + 1), [1, 2]);
  });

  test("results of another row, of other sources, and what are no results, are refused", () => {
    const file = join(directory, "other");
    openRecorded(file, "row");
    assert.throws(() => openRecorded(file, "another"), /'row': name another file/);
    const header = JSON.parse(readFileSync(file, "utf8"));
    writeFileSync(file, `${JSON.stringify({ ...header, sources: "00" })}\n`);
    assert.throws(() => openRecorded(file, "row"), /other sources/);
    writeFileSync(file, "a letter\n");
    assert.throws(() => openRecorded(file, "row"), /something else/);
    assert.equal(readFileSync(file, "utf8"), "a letter\n");
  });
});
