import assert from "node:assert/strict";
import { formatAmount, formatBytes, formatDuration, parseAmount } from "../../../src/lib/units.ts";
import { describe } from "../../support/harness.ts";

const myst = { symbol: "MYST", decimals: 18 };

describe("lib/units", (test) => {
  test("an amount with its unit becomes base units", () => {
    assert.equal(parseAmount("0.1myst", myst), 100_000_000_000_000_000n);
    assert.equal(parseAmount("2 MYST", myst), 2n * 10n ** 18n);
    assert.equal(parseAmount("0", myst), 0n);
  });
  for (const text of ["1", "1eth", "-1myst", "1e3myst", "0.1234567890123456789myst", "", "myst", "1,5myst"])
    test(`'${text}' is refused`, () => {
      assert.throws(() => parseAmount(text, myst), { code: "BAD_AMOUNT" });
    });
  test("what is parsed is formatted back exactly", () => {
    for (const amount of [0n, 1n, 10n ** 17n, 123_456_789n * 10n ** 12n, 5n * 10n ** 18n])
      assert.equal(parseAmount(formatAmount(amount, myst), myst), amount);
    assert.equal(formatAmount(123_456_789n * 10n ** 12n, myst, 3), "123.456 MYST");
  });
  test("bytes and times for people", () => {
    assert.equal(formatBytes(0n), "0 B");
    assert.equal(formatBytes(64n << 20n), "64.0 MiB");
    assert.equal(formatDuration(850), "850 ms");
    assert.equal(formatDuration(250_000), "4 min 10 s");
  });
});
