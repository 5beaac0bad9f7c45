import assert from "node:assert/strict";
import { maxWidth, table } from "../../../src/cli/format.ts";
import { columns } from "../../../src/cli/sessions.ts";
import { describe } from "../../support/harness.ts";
import { session } from "../api/fake-node.ts";

const unit = { symbol: "MYST", decimals: 18 };

describe("cli/sessions: the table", (test) => {
  test("fits 80 columns with a long session that cost some", () => {
    const nowMs = session.startedMs + 39_599_000;
    const long = { ...session, endedMs: nowMs, usedBytes: 1_072_693_248n, promised: 12_345_678n * 10n ** 11n };
    const lines = table([long], columns(unit, nowMs)).split("\n");
    assert.match(lines[1] ?? "", / 10 h 59 min +1023\.0 MiB +1\.234567 /);
    for (const line of lines) assert.ok(line.length <= maxWidth, `${line.length}: ${line}`);
  });
});
