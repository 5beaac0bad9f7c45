import assert from "node:assert/strict";
import { isMystError, MystError } from "../../../src/lib/errors.ts";
import { silentLogger } from "../../../src/lib/ports.ts";
import { createControlPlane, placeOfUrl, placesOf } from "../../../src/node/control-plane.ts";
import { createTunnelling } from "../../../src/node/tunnelling.ts";
import type { Connection, SessionView } from "../../../src/node/types.ts";
import { fakeHelper } from "../../support/fake-helper.ts";
import { describe } from "../../support/harness.ts";
import { exit, failover, session } from "../api/fake-node.ts";

const peer = "16Uiu2HAmGJjJq7CDqg6Z5T6DqZpccikMHyj7UraRjL58KNYUhmDk";
const tcp = (address: string, port: number) => ({ address, port, protocol: "tcp" as const });

describe("node/control plane: what passes the kill switch", (test) => {
  test("addresses and ports of multiaddrs and URLs, nothing relayed, nothing of another kind", () => {
    const texts = [
      `/ip4/192.0.2.1/tcp/4480/p2p/${peer}`,
      "/dns4/boot.example.org/tcp/1",
      `/ip4/192.0.2.2/tcp/4480/p2p/${peer}/p2p-circuit`,
      "/ip4/192.0.2.3/udp/4480/quic-v1",
      "/ip4/192.0.2.4/tcp/70000",
    ];
    assert.deepEqual(placesOf(texts), [
      { host: "192.0.2.1", port: 4480 },
      { host: "boot.example.org", port: 1 },
    ]);
    assert.deepEqual(["https://rpc.example.org/key", "http://[2001:db8::1]:8545", "nonsense"].flatMap(placeOfUrl), [
      { host: "rpc.example.org", port: 443 },
      { host: "2001:db8::1", port: 8545 },
    ]);
  });

  test("a name is looked up while that is possible, and what it meant is remembered", async () => {
    let works = true;
    const resolve = async (host: string) => {
      if (!works) throw new Error("no way out");
      return host === "rpc.example.org" ? ["192.0.2.9", "192.0.2.10"] : [];
    };
    const plane = createControlPlane(
      { bootstrap: ["/ip4/127.0.0.1/tcp/5", "/ip4/192.0.2.1/tcp/4480"], rpc: ["https://rpc.example.org"] },
      resolve,
    );
    const expected = [tcp("192.0.2.1", 4480), tcp("192.0.2.9", 443), tcp("192.0.2.10", 443), tcp("192.0.2.20", 1)];
    const peers = ["/ip4/192.0.2.20/tcp/1", "/ip4/192.0.2.20/tcp/1"];
    assert.deepEqual(await plane.endpoints(peers), expected);
    works = false;
    assert.deepEqual(await plane.endpoints(peers), expected);
    const [behind, ...others] = await plane.endpoints(peers, ["/ip4/192.0.2.20/tcp/2", "/ip4/192.0.2.20/udp/3"]);
    const through = { ...tcp("192.0.2.20", 2), through: true };
    assert.deepEqual(behind, through, "what is reached through a tunnel");
    assert.deepEqual(others, [...expected.slice(0, 3), { ...through, port: 1 }], "and whatever else is on that host");
    const many = Array.from({ length: 50 }, (_, i) => `/ip4/198.51.100.${i}/tcp/1`);
    assert.equal((await plane.endpoints(many)).length, 3 + 32);
  });
});

const take = () => undefined;

function tunnelling(helper = fakeHelper()) {
  const dialled: string[] = [];
  const made = createTunnelling({
    helper: helper.helper,
    network: () => ({
      peers: () => [],
      connect: async (peer) => void dialled.push(`${peer} after ${helper.calls.at(-1)}`),
      redial: async () => ({ take, drop: take }),
    }),
    bootstrap: [],
    rpc: [],
    clock: { nowMs: () => 0, sleep: async () => undefined },
    log: silentLogger,
  });
  const over = Promise.withResolvers<SessionView>();
  const connection: Connection = {
    sessionId: session.id,
    exit,
    endpoint: {},
    session: () => session,
    sessions: () => [session],
    failover: () => failover,
    first: () => undefined,
    ended: over.promise,
    disconnect: async () => {
      over.resolve(session);
      return session;
    },
  };
  return { ...helper, made, dialled, over, connection };
}

describe("node/tunnelling: the kill switch outlives a session that did not end by wish", (test) => {
  test("who disconnects finds the host as it was when told so", async () => {
    const { made, calls, connection } = tunnelling();
    const mine = await made.connect({}, async (service) => {
      await service.request?.("01");
      return connection;
    });
    assert.equal(made.state()?.intent, "secured");
    await mine.disconnect();
    assert.equal(calls.at(-1), "release");
    assert.equal(made.state()?.intent, "open");
    assert.equal(await made.unblock(), false);
  });

  test("who is disconnected stays behind it, is told the ways on, and may lift it", async () => {
    const { made, calls, connection, over } = tunnelling();
    const mine = await made.connect({}, async (service) => {
      await service.request?.("01");
      return connection;
    });
    over.reject(new MystError("BUDGET_EXHAUSTED", "the budget is used up", { hint: "another" }));
    await assert.rejects(mine.ended, (error) => isMystError(error, "BUDGET_EXHAUSTED") && /connect.*disconnect/.test(error.hint ?? ""));
    assert.ok(!calls.includes("release"));
    assert.equal(await made.unblock(), true);
    assert.equal(calls.at(-1), "release");
  });

  test("what was never open leaves the host as it was before: open, or blocked", async () => {
    const { made, calls } = tunnelling();
    const fail = (secure: boolean) =>
      made.connect({}, async (service) => {
        if (secure) await service.request?.("01");
        throw new MystError("PEER_TIMEOUT", "no exit answers");
      });
    await assert.rejects(fail(true), (error) => isMystError(error, "PEER_TIMEOUT"));
    assert.equal(calls.at(-1), "release");
    const blocked = tunnelling(fakeHelper({ blocked: true }));
    await blocked.made.adopt();
    const still = blocked.made.connect({}, async () => {
      throw new MystError("PEER_TIMEOUT", "no exit answers");
    });
    await assert.rejects(still, (error) => isMystError(error, "PEER_TIMEOUT"));
    assert.ok(!blocked.calls.includes("release"));
  });

  test("while it stands an exit is let through before it is dialled", async () => {
    const { made, dialled, configs, connection } = tunnelling();
    const signal = new AbortController().signal;
    await made.dialler.connect("first", ["/ip4/192.0.2.7/tcp/4480"], signal);
    await made.connect({}, async (service) => {
      await service.request?.("01");
      return connection;
    });
    await made.dialler.connect("second", ["/ip4/192.0.2.8/tcp/4480"], signal);
    assert.deepEqual(dialled, ["first after undefined", "second after control"]);
    assert.deepEqual(configs.control, [tcp("192.0.2.8", 4480)]);
  });

  test("an exit that was dialled and is not identified yet keeps its way through when it is proposed to", async () => {
    const { made, configs, connection } = tunnelling();
    await made.dialler.connect("exit", ["/ip4/192.0.2.7/tcp/4480"], new AbortController().signal);
    await made.connect({}, async (service) => {
      await service.request?.("01");
      return connection;
    });
    assert.deepEqual(configs.client?.control, [tcp("192.0.2.7", 4480)]);
    assert.deepEqual(configs.control, [tcp("192.0.2.7", 4480)]);
  });

  test("the exit that carries and its standby keep their way through, whoever is dialled after them", async () => {
    const { made, configs, connection } = tunnelling();
    const signal = new AbortController().signal;
    await made.connect({}, async (service) => {
      await service.request?.("01");
      return connection;
    });
    made.dialler.hold(["/ip4/192.0.2.7/tcp/4480", "/ip4/192.0.2.8/tcp/4480"]);
    await made.dialler.redial("third", ["/ip4/192.0.2.9/tcp/4480"], signal);
    assert.deepEqual(configs.control, [tcp("192.0.2.7", 4480), tcp("192.0.2.8", 4480), tcp("192.0.2.9", 4480)]);
  });

  test("a node without a helper says what a tunnel takes", async () => {
    const made = createTunnelling({
      helper: undefined,
      network: () => undefined,
      bootstrap: [],
      rpc: [],
      clock: { nowMs: () => 0, sleep: async () => undefined },
      log: silentLogger,
    });
    assert.equal(made.state(), undefined);
    await assert.rejects(
      made.connect({}, async () => {
        throw new Error("not reached");
      }),
      (error) => isMystError(error, "PRIVILEGE_NEEDED") && Boolean(error.hint),
    );
  });
});
