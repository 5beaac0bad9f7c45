import assert from "node:assert/strict";
import { periodName } from "../../../src/cli/fresh.ts";
import { describe } from "../../support/harness.ts";

const at = (text: string) => Date.parse(text);
const hour = 3_600_000;

describe("cli/fresh: periods", (test) => {
  test("one name from the beginning of a period to its end, for everybody the same", () => {
    assert.equal(periodName(at("2025-06-01T00:00:00Z"), 24 * hour), "20250601T0000Z-24h");
    assert.equal(periodName(at("2025-06-01T23:59:59Z"), 24 * hour), "20250601T0000Z-24h");
    assert.equal(periodName(at("2025-06-02T00:00:00Z"), 24 * hour), "20250602T0000Z-24h");
    assert.notEqual(periodName(at("2025-06-01T00:00:00Z"), 24 * hour), periodName(at("2025-06-01T00:00:00Z"), 12 * hour));
  });

  test("names are in the order of time, whatever the period", () => {
    const names = Array.from({ length: 50 }, (_, index) => periodName(at("2025-06-01T00:00:00Z") + index * 7 * hour, 7 * hour));
    assert.deepEqual(names.toSorted(), names);
    assert.equal(new Set(names).size, 50);
  });
});
