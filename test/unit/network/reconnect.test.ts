import assert from "node:assert/strict";
import { type Attempt, afterFailure, toDial, wantedConnections } from "../../../src/network/reconnect.ts";
import { describe } from "../../support/harness.ts";

const peer = (name: string) => ({ peer: name, addresses: [`/ip4/127.0.0.1/tcp/1/p2p/${name}`] });
const now = (change: Partial<Parameters<typeof toDial>[0]> = {}) => ({
  connected: new Set<string>(),
  bootstrap: [peer("boot")],
  known: [peer("a"), peer("b"), peer("c"), peer("boot")],
  attempts: new Map<string, Attempt>(),
  denied: () => false,
  nowMs: 1000,
  ...change,
});
const names = (change: Partial<Parameters<typeof toDial>[0]> = {}) => toDial(now(change)).map(({ peer }) => peer);

describe("network/reconnect: whom to dial", (test) => {
  test("as many as are missing, bootstrap peers first, nobody twice", () => {
    assert.deepEqual(names(), ["boot", "a", "b"]);
    assert.deepEqual(names({ connected: new Set(["boot"]) }), ["a", "b"]);
    assert.deepEqual(names({ connected: new Set(["x", "a"]) }), ["boot"]);
    assert.deepEqual(names({ connected: new Set(Array.from({ length: wantedConnections }, (_, index) => `p${index}`)) }), []);
  });

  test("without a bootstrap peer the known ones do", () => assert.deepEqual(names({ bootstrap: [] }), ["a", "b", "c"]));

  test("not those that are denied or were tried in vain a moment ago", () => {
    assert.deepEqual(names({ denied: (name) => name === "boot" }), ["a", "b", "c"]);
    const attempts = new Map([
      ["a", { failures: 1, notBeforeMs: 1001 }],
      ["b", { failures: 1, notBeforeMs: 1000 }],
    ]);
    assert.deepEqual(names({ attempts }), ["boot", "b", "c"]);
  });

  test("each failure doubles the wait, up to a minute", () => {
    let attempt: Attempt | undefined;
    const waits = Array.from({ length: 9 }, () => {
      attempt = afterFailure(attempt, 0);
      return attempt.notBeforeMs / 1000;
    });
    assert.deepEqual(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
  });
});
