import assert from "node:assert/strict";
import { makeKeyPair } from "../../../../../src/services/wireguard/backend/keys.ts";
import type { Calls } from "../../../../../src/services/wireguard/helper/calls.ts";
import { clientTunnel } from "../../../../../src/services/wireguard/helper/remote-client.ts";
import { describe } from "../../../../support/harness.ts";

type Listener = Parameters<Calls["on"]>[0];

/** A helper that says yes to everything but what is in `fails`. */
function fakeCalls(fails: string[] = []) {
  const listeners = new Set<Listener>();
  const { publicKey } = makeKeyPair();
  const opened = { publicKey, backend: "kernel", ifname: "mystc0", first: { publicKey, ifname: "mystf0" } };
  const asked: object[] = [];
  const calls = {
    ask: async ({ op, ...more }: { op: string }) => {
      asked.push({ op, ...more });
      if (fails.includes(op)) throw new Error(`no ${op}`);
      return op === "openClient" ? opened : {};
    },
    on: (listener: Listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  } as unknown as Calls;
  return { calls, listeners, asked };
}

describe("helper: a client as the node sees it", (test) => {
  test("one that was released, or never opened, is not told of anything any more", async () => {
    const { calls, listeners } = fakeCalls();
    for (let i = 0; i < 3; i += 1) await (await clientTunnel(calls, { uid: 0, control: [] })).release();
    assert.equal(listeners.size, 0);
    const broken = fakeCalls(["openClient"]);
    await assert.rejects(clientTunnel(broken.calls, { uid: 0, control: [] }));
    assert.equal(broken.listeners.size, 0);
  });

  test("with two hops each tunnel has what is its own", async () => {
    const { calls, listeners, asked } = fakeCalls();
    const { first, ...last } = await clientTunnel(calls, { uid: 0, control: [] });
    assert.deepEqual([first.ifname, last.ifname], ["mystf0", "mystc0"]);
    const told: string[] = [];
    first.onCounters(() => told.push(`first ${first.counters().rxBytes}`));
    last.onCounters(() => told.push(`last ${last.counters().rxBytes}`));
    const count = (leg: "first" | "last", rx: string) => {
      for (const listener of listeners) listener({ event: "clientCounters", leg, rx, tx: "0", dropped: "0", handshakeMs: 1 });
    };
    count("first", "3");
    count("last", "5");
    assert.deepEqual([told, first.counters().rxBytes, last.counters().rxBytes], [["first 3", "last 5"], 3n, 5n]);
    await first.mtu(1300);
    await last.block("over");
    assert.deepEqual(asked.slice(1), [
      { op: "mtu", leg: "first", mtu: 1300 },
      { op: "block", leg: "last", reason: "over" },
    ]);
  });

  test("with the helper gone one that is wanted is blocked, and says why", async () => {
    const { calls, listeners } = fakeCalls();
    const tunnel = await clientTunnel(calls, { uid: 0, control: [] });
    const tell = (event: Parameters<Listener>[0]) => {
      for (const listener of listeners) listener(event);
    };
    tell({ event: "clientState", state: { intent: "secured", fact: "up" } });
    assert.equal(tunnel.state().fact, "up");
    tell({ event: "ending", reason: "killed" });
    assert.deepEqual(tunnel.state(), { intent: "secured", fact: "blocked", problem: "the tunnel's helper has ended: killed" });
  });
});
