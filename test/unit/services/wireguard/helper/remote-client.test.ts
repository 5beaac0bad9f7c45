import assert from "node:assert/strict";
import { makeKeyPair } from "../../../../../src/services/wireguard/backend/keys.ts";
import type { Calls } from "../../../../../src/services/wireguard/helper/calls.ts";
import { clientTunnel } from "../../../../../src/services/wireguard/helper/remote-client.ts";
import { describe } from "../../../../support/harness.ts";

type Listener = Parameters<Calls["on"]>[0];

/** A helper that says yes to everything but what is in `fails`. */
function fakeCalls(fails: string[] = []) {
  const listeners = new Set<Listener>();
  const opened = { publicKey: makeKeyPair().publicKey, backend: "kernel", ifname: "mystc0" };
  const calls = {
    ask: async ({ op }: { op: string }) => {
      if (fails.includes(op)) throw new Error(`no ${op}`);
      return op === "openClient" ? opened : {};
    },
    on: (listener: Listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  } as unknown as Calls;
  return { calls, listeners };
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
