import assert from "node:assert/strict";
import { columns } from "../../../src/cli/exits.ts";
import { maxWidth, table } from "../../../src/cli/format.ts";
import type { ExitView } from "../../../src/node/types.ts";
import { describe } from "../../support/harness.ts";
import { exit } from "../api/fake-node.ts";

const unit = { symbol: "MYST", decimals: 18 };
const lines = (exits: ExitView[]) => table(exits, columns(unit)).split("\n");

describe("cli/exits: the table", (test) => {
  test("says by whose word an exit is in its country", () => {
    const shown = (["claimed", "database", "latency", "refuted"] as const).map((evidence) => lines([{ ...exit, evidence }])[1] ?? "");
    assert.deepEqual(
      shown.map((line) => line.split(/ +/).slice(0, 2)),
      [
        ["US", "word"],
        ["US", "db"],
        ["US", "rtt"],
        ["US", "no"],
      ],
    );
    assert.match(lines([exit])[0] ?? "", /^COUNTRY +BY +SERVICE +MYST\/GIB +\/HOUR/);
  });

  test("fits 80 columns with cities, tunnels and far exits", () => {
    const far: ExitView = {
      ...{ ...exit, city: "Llanfairpwllgwyngyll", service: "wireguard", evidence: "claimed", sessions: 50, maxSessions: 50 },
      ...{ score: 0.94, rttMs: 1_234, perGiB: 1_234n * 10n ** 14n, perHour: 123n * 10n ** 15n },
    };
    for (const line of lines([far, exit])) assert.ok(line.length <= maxWidth, `${line.length}: ${line}`);
  });
});
