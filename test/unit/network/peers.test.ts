import assert from "node:assert/strict";
import type { Connection } from "@libp2p/interface";
import type { Libp2p } from "libp2p";
import { systemClock } from "../../../src/lib/clock.ts";
import { silentLogger } from "../../../src/lib/ports.ts";
import { mostConnections, newcomerMs } from "../../../src/network/crowding.ts";
import { createPeers } from "../../../src/network/peers.ts";
import { describe } from "../../support/harness.ts";
import { until } from "../../support/until.ts";

/** A host whose connections others have opened: three hundred real ones would be a test of their handshakes. */
function crowdedHost() {
  const connections = new Set<Connection>();
  const host = Object.assign(new EventTarget(), { getConnections: () => [...connections] });
  const known = { remember: () => undefined, all: () => [], forget: () => undefined, save: async () => undefined };
  createPeers({
    ...{ host: host as unknown as Libp2p, known, clock: systemClock, log: silentLogger, bootstrap: [], nearby: () => [] },
    bans: { deny: () => undefined, denied: () => false, save: async () => undefined },
    isBonded: () => false,
  });
  const join = (index: number, ageMs: number): Connection => {
    const connection = {
      ...{ remotePeer: `peer${index}`, remoteAddr: `/ip4/45.${index >> 8}.${index & 255}.7/tcp/1`, direction: "inbound", streams: [] },
      timeline: { open: Date.now() - ageMs },
      abort: () => connections.delete(connection),
    } as unknown as Connection;
    connections.add(connection);
    host.dispatchEvent(new CustomEvent("connection:open", { detail: connection }));
    return connection;
  };
  return { connections, join };
}

describe("network/peers: more connections than are kept", (test) => {
  test("who has just come is hung up on, or somebody else, when it has had its time, and nobody before", async () => {
    const { connections, join } = crowdedHost();
    for (let index = 0; index < mostConnections; index += 1) join(index, 60_000);
    const newcomers = [1, 2, 3].map((more) => join(mostConnections + more, 0));
    assert.equal(connections.size, mostConnections + newcomers.length);
    await until(() => connections.size === mostConnections, newcomerMs + 10_000);
  });

  test("nobody is spared for having come long ago: then one goes at once", () => {
    const { connections, join } = crowdedHost();
    for (let index = 0; index <= mostConnections; index += 1) join(index, newcomerMs);
    assert.equal(connections.size, mostConnections);
  });
});
