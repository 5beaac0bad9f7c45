import assert from "node:assert/strict";
import { neverOpened, outcomeOf } from "../../../src/node/outcome.ts";
import { flags } from "../../../src/reputation/record.ts";
import { describe } from "../../support/harness.ts";

const state = (bytes: bigint, code?: Parameters<typeof neverOpened>[0], rttMs = 0) => ({
  used: { bytes, ms: 1_000 },
  reason: code && { code, message: "" },
  line: { perSecond: 0n, rttMs, since: { ms: 0, bytes: 0n } },
});
const MiB = 1n << 20n;

describe("node/outcome: what a session says of its exit", (test) => {
  test("one that carried something and ended by wish, or by the budget, speaks for it", () => {
    assert.deepEqual(outcomeOf(state(1n), 0n), { failed: false, flags: 0 });
    assert.deepEqual(outcomeOf(state(5n * MiB, "BUDGET_EXHAUSTED", 30), 12_500_000n), { failed: false, flags: 0, mbps: 100, rttMs: 30 });
  });

  test("silence, a broken stream and a count that is too high speak against it, carried or not", () => {
    for (const code of ["PEER_TIMEOUT", "PEER_UNREACHABLE", "MALFORMED"] as const)
      assert.deepEqual(outcomeOf(state(0n, code), 0n), { failed: true, flags: flags.unserved });
    assert.deepEqual(outcomeOf(state(1n, "OVERCHARGED"), 0n), { failed: true, flags: flags.overcharged });
    assert.deepEqual(neverOpened("PEER_TIMEOUT"), { failed: true, flags: flags.unserved });
  });

  test("what carried nothing by nobody's fault says nothing, and neither does a refusal, nor what went wrong here", () => {
    assert.equal(outcomeOf(state(0n), 0n), undefined);
    for (const code of ["EXIT_FULL", "PAYER_REFUSED", "INTERRUPTED", "TUNNEL_FAILED", "INSUFFICIENT_FUNDS"] as const) {
      assert.equal(neverOpened(code), undefined);
      assert.equal(outcomeOf(state(1n, code), 0n)?.failed, false);
    }
  });

  test("traffic that comes out in another country than was claimed speaks against it, however well it was carried", () => {
    const egress = { address: "45.1.2.3", observers: 3, atMs: 1, country: "DE", asn: 64_496, elsewhere: true };
    const seen = { egressCountry: "DE", egressAsn: 64_496 };
    assert.deepEqual(outcomeOf(state(1n), 0n, egress), { failed: true, flags: flags.elsewhere, ...seen });
    assert.deepEqual(outcomeOf(state(1n, "OVERCHARGED"), 0n, egress)?.flags, flags.overcharged + flags.elsewhere);
    assert.deepEqual(outcomeOf(state(1n), 0n, { ...egress, elsewhere: false }), { failed: false, flags: 0, ...seen });
  });

  test("a few bytes show no speed", () => {
    assert.equal(outcomeOf(state(MiB - 1n), 10n ** 9n)?.mbps, undefined);
    assert.equal(outcomeOf(state(MiB), 10n ** 9n)?.mbps, 8_000);
  });
});
