import assert from "node:assert/strict";
import { describe } from "./harness.ts";
import { auditHistory, type Observation, shownBy } from "./ledger-audit.ts";

const on = { signer: "0xaa", channel: "0xc1" };
const other = { signer: "0xaa", channel: "0xc2" };
const signed = (seq: bigint, cumulative: bigint, total = cumulative, of = on): Observation => ({
  where: "signed",
  ...of,
  seq,
  cumulative,
  total,
});
const stored = (seq: bigint, cumulative: bigint, consumed = 0n): Observation => ({
  ...{ where: "stored", ...on, seq, cumulative },
  ...{ total: cumulative, consumed },
});
const held = (seq: bigint, cumulative: bigint, consumed = 0n, paid = 0n): Observation => ({
  ...{ where: "held", ...on, seq, cumulative },
  ...{ total: cumulative, consumed, paid },
});
const acknowledged = (cumulative: bigint): Observation => ({ where: "acknowledged", ...on, cumulative });
const claimed = (seq: bigint, cumulative: bigint): Observation => ({ where: "claimed", ...on, seq, cumulative, total: cumulative });
const kinds = (...history: Observation[]) => auditHistory(history).map(({ kind }) => kind);

/** what two processes that were killed now and then leave when all is well */
const honest: Observation[] = [
  signed(1n, 10n),
  signed(2n, 20n),
  acknowledged(10n),
  // killed before the second was sent
  stored(2n, 20n, 5n),
  held(1n, 10n, 8n),
  { where: "telling", side: "provider", ...on, cumulative: 20n, consumed: 12n, paid: 10n },
  signed(3n, 5n, 25n, other),
  signed(4n, 30n, 35n),
  claimed(2n, 20n),
  held(4n, 30n, 15n, 20n),
  { where: "telling", side: "payer", ...on, cumulative: 30n, consumed: 12n, paid: 20n },
].map((seen) => ("total" in seen && seen.seq === 4n ? { ...seen, total: 35n } : seen)) as Observation[];

describe("support/ledger-audit", (test) => {
  test("finds nothing in an honest history", () => {
    assert.deepEqual(auditHistory(honest), []);
    assert.deepEqual(auditHistory([]), []);
  });

  test("sees one seq with two contents, wherever each of them was seen", () => {
    assert.deepEqual(kinds(signed(1n, 10n), signed(1n, 11n)).slice(0, 1), ["signed twice"]);
    assert.deepEqual(kinds(signed(1n, 10n), signed(1n, 10n, 10n, other)), ["signed twice"]);
    assert.deepEqual(kinds(signed(1n, 10n), signed(1n, 10n, 12n)), ["signed twice"]);
    assert.ok(kinds(...honest, claimed(1n, 9n)).includes("signed twice"));
    assert.deepEqual(kinds(signed(1n, 10n), signed(1n, 10n)), []);
  });

  test("sees an amount that falls: within what is signed, and at either ledger", () => {
    assert.deepEqual(kinds(signed(1n, 10n), signed(2n, 9n, 12n)), ["amount fell"]);
    assert.deepEqual(kinds(signed(1n, 10n), signed(2n, 12n, 9n)), ["amount fell"]);
    assert.deepEqual(kinds(signed(2n, 10n), signed(1n, 10n, 11n, other)), ["amount fell"]);
    assert.deepEqual(kinds(stored(1n, 10n, 5n), stored(1n, 10n, 4n)), ["amount fell"]);
    assert.deepEqual(kinds(held(1n, 10n, 5n, 3n), held(1n, 10n, 5n, 2n)), ["amount fell"]);
    assert.deepEqual(kinds(held(1n, 10n, 5n), { where: "telling", side: "provider", ...on, cumulative: 10n, consumed: 4n, paid: 0n }), [
      "amount fell",
    ]);
  });

  test("sees a promise that its holder has lost", () => {
    assert.deepEqual(kinds(signed(1n, 10n), acknowledged(10n), signed(2n, 20n), acknowledged(20n), held(1n, 10n)), ["promise lost"]);
    assert.deepEqual(
      kinds(signed(1n, 10n), claimed(1n, 10n), { where: "telling", side: "provider", ...on, cumulative: 9n, consumed: 0n, paid: 0n }),
      ["promise lost"],
    );
    // sent before it was on disk: the provider's best exceeds the payer's last
    assert.deepEqual(kinds(held(2n, 20n), stored(1n, 10n)), ["promise lost"]);
    assert.deepEqual(kinds(signed(2n, 20n), stored(1n, 10n)), ["promise lost"]);
  });

  test("knows what was acknowledged by what was signed next", () => {
    const first = { ...on, cumulative: 10n, bytes: 5n };
    assert.deepEqual(shownBy({ ...on, cumulative: 20n, bytes: 6n }, first), [acknowledged(10n)]);
    assert.deepEqual(shownBy({ ...on, cumulative: 20n, bytes: 5n }, first), []);
    assert.deepEqual(shownBy({ ...other, cumulative: 20n, bytes: 6n }, first), []);
    assert.deepEqual(shownBy(first, undefined), []);
  });
});
