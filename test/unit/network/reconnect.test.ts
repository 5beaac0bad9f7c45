import assert from "node:assert/strict";
import { type Attempt, afterFailure, keepConnected, toDial, wantedConnections } from "../../../src/network/reconnect.ts";
import { describe } from "../../support/harness.ts";
import { createVirtualClock } from "../../support/simulation/clock.ts";

const peer = (name: string) => ({ peer: name, addresses: [`/ip4/127.0.0.1/tcp/1/p2p/${name}`] });
const now = (change: Partial<Parameters<typeof toDial>[0]> = {}) => ({
  connected: new Set<string>(),
  chosen: new Set<string>(),
  nearby: [],
  dialling: new Map<string, number>(),
  bootstrap: [peer("boot")],
  known: [peer("a"), peer("b"), peer("c"), peer("boot")],
  attempts: new Map<string, Attempt>(),
  denied: () => false,
  nowMs: 10_000,
  ...change,
});
const names = (change: Partial<Parameters<typeof toDial>[0]> = {}) => toDial(now(change)).map(({ peer }) => peer);

describe("network/reconnect: whom to dial", (test) => {
  test("as many as are missing, of each kind in turns, so that it does not matter which are dead; nobody twice", () => {
    assert.deepEqual(names(), ["boot", "a", "b", "c"]);
    assert.deepEqual(names({ bootstrap: [peer("x"), peer("y"), peer("z")], nearby: [peer("n")] }), ["x", "n", "a", "y"]);
    assert.deepEqual(names({ bootstrap: [] }), ["a", "b", "c", "boot"]);
  });

  test("connections that others have opened do not count, but nobody is dialled who is connected", () => {
    const many = new Set(["boot", "a", "p1", "p2", "p3"]);
    assert.deepEqual(names({ connected: many }), ["b", "c"]);
    assert.deepEqual(names({ connected: many, chosen: new Set(["p1", "p2", "p3"]) }), ["b"]);
    const enough = new Set(Array.from({ length: wantedConnections }, (_, index) => `p${index}`));
    assert.deepEqual(names({ connected: enough, chosen: enough }), []);
  });

  test("a dial under way has its place, until it takes too long; there is a bound to them", () => {
    const since = (ms: number, ...peers: string[]) => new Map(peers.map((name) => [name, 10_000 - ms]));
    assert.deepEqual(names({ dialling: since(10, "boot", "a", "p1") }), ["b"]);
    assert.deepEqual(names({ dialling: since(5000, "boot", "a") }), ["b", "c"]);
    assert.deepEqual(names({ dialling: since(5000, ..."12345678") }), []);
  });

  test("of different networks first", () => {
    const at = (name: string, ip: string) => ({ peer: name, addresses: [`/ip4/${ip}/tcp/1`] });
    const known = [at("a", "192.0.2.1"), at("b", "192.0.2.2"), at("c", "192.0.2.3"), at("d", "198.51.100.1")];
    assert.deepEqual(names({ bootstrap: [], known }), ["a", "d", "b", "c"]);
  });

  test("not those that are denied or were tried in vain a moment ago", () => {
    assert.deepEqual(names({ denied: (name) => name === "boot" }), ["a", "b", "c"]);
    const attempts = new Map([
      ["a", { failures: 1, notBeforeMs: 10_001 }],
      ["b", { failures: 1, notBeforeMs: 10_000 }],
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

  test("who hangs up on us soon has no room, and is dialled ever less; not who has stayed for a minute", async () => {
    const clock = createVirtualClock();
    const connected = new Set<string>();
    const dialledMs: number[] = [];
    let staysMs = 100;
    const dial = async ({ peer }: { peer: string }) => {
      dialledMs.push(clock.nowMs());
      connected.add(peer);
      void clock.sleep(staysMs).then(() => connected.delete(peer));
    };
    const view = () => ({ ...now({ bootstrap: [peer("boot")], known: [] }), connected, chosen: connected });
    const keeping = keepConnected({ clock, dial, onError: () => undefined }, view);
    const gaps = () => dialledMs.slice(1).map((ms, index) => ms - (dialledMs[index] ?? 0));
    await clock.pass(40_000);
    assert.ok(dialledMs.length > 3, String(gaps()));
    assert.ok(
      gaps().every((ms, index) => ms >= 1_000 * 2 ** index),
      String(gaps()),
    );
    staysMs = 61_000;
    await clock.pass(90_000);
    staysMs = 100;
    dialledMs.length = 0;
    await clock.pass(70_000);
    assert.ok((gaps()[0] ?? 0) < 10_000, String(gaps()));
    const stopped = keeping.stop();
    await clock.pass(2_000);
    await stopped;
  });
});
