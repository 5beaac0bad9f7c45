import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { shield, shieldStates } from "../../../../../src/services/wireguard/plan/shield.ts";
import { describe } from "../../../../support/harness.ts";

const line = (cells: string[]) => `| ${cells.join(" | ")} |`;

describe("kill switch: what passes in which state", (test) => {
  test("docs/security.md shows the very table that the firewall is made of", () => {
    const table = [
      line(["packet", ...shieldStates]),
      line(["packet", ...shieldStates].map(() => "---")),
      ...Object.values(shield).map(({ packet, verdicts }) => line([packet, ...shieldStates.map((state) => verdicts[state])])),
    ];
    assert.ok(readFileSync("docs/security.md", "utf8").includes(`\n${table.join("\n")}\n`), table.join("\n"));
  });
});
