import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { isConnected, startPeer, until } from "../net/support.ts";
import { describe } from "../support/harness.ts";
import { enterNamespaces, ip } from "./backend/rig.ts";

const skip = enterNamespaces(fileURLToPath(import.meta.url));

describe("network/nearby: peers of one local network", (register, { before }) => {
  const test = (name: string, work: () => Promise<void>) => register(name, work, { skip, timeoutMs: 60_000 });
  const lan = ["/ip4/192.168.77.1/tcp/0"];
  before(() => {
    ip("link", "add", "lan0", "type", "veth", "peer", "name", "lan1");
    ip("address", "add", "192.168.77.1/24", "dev", "lan0");
    for (const end of ["lan0", "lan1"]) ip("link", "set", end, "up");
    ip("route", "add", "224.0.0.0/4", "dev", "lan0");
  });

  test("find each other without a bootstrap peer; not one that was told not to, nor one of another network", async () => {
    await using one = await startPeer({ listen: lan, mdns: true });
    await using silent = await startPeer({ listen: lan });
    await using stranger = await startPeer({ listen: lan, mdns: true, protocolPrefix: "/mystnode/other" });
    await using other = await startPeer({ listen: lan, mdns: true });
    await until("they are connected", () => isConnected(one, other) && isConnected(other, one), 30_000);
    assert.deepEqual(silent.network.peers(), []);
    assert.deepEqual(stranger.network.peers(), []);
  });

  test("where the local network lets nothing through, all else works", async () => {
    execFileSync("nft", ["-f", "-"], {
      input: "table inet t { chain out { type filter hook output priority 0; udp dport 5353 drop; }\n}\n",
    });
    try {
      await using one = await startPeer({ listen: lan, mdns: true });
      await using other = await startPeer({ listen: lan, mdns: true, bootstrap: one.network.addresses() });
      await until("they are connected", () => isConnected(one, other));
    } finally {
      execFileSync("nft", ["delete", "table", "inet", "t"]);
    }
  });
});
