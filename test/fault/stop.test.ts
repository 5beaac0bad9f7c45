import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { parseNetwork } from "../../src/lib/network-config.ts";
import { createNode } from "../../src/node.ts";
import { socksConnect } from "../../src/services/proxy/socks-client.ts";
import { describe } from "../support/harness.ts";
import { startTarget } from "../support/proxy-rig.ts";
import { until } from "../support/until.ts";
import { freePort, openMarket, type Part } from "./support/market.ts";
import { standStill } from "./support/stopped.ts";
import { connectSoon, download } from "./support/use.ts";

/** nobody answers there */
const network = parseNetwork(
  JSON.stringify({
    ...{ v: 1, name: "stop", chainId: 31337, rpc: ["http://127.0.0.1:9"], contract: `0x${"11".repeat(20)}`, startBlock: 0 },
    ...{ confirmations: 0, token: { address: `0x${"22".repeat(20)}`, symbol: "MYST", decimals: 18 }, bootstrap: [] },
    ...{ protocolPrefix: "/mystnode/stop", minDeposit: "1", minBond: "1" },
  }),
  "test",
);

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  const answer = await Promise.race([once(socket, "connect").then(() => true), once(socket, "error").then(() => false)]).catch(() => false);
  socket.destroy();
  return answer;
}

describe("fault/stop: a node that is told to end, ends", (test) => {
  test("in the middle of its start too: nothing of it comes up afterwards", async () => {
    const dataDir = await mkdtemp(join(tmpdir(), "ms-"));
    const port = await freePort();
    try {
      for (const ms of [0, 5, 30, 100, 300]) {
        const node = await createNode({ dataDir, network, listen: [`/ip4/127.0.0.1/tcp/${port}`] });
        const starting = node.start().catch(() => undefined);
        await wait(ms);
        await Promise.all([node.stop(), node.stop()]);
        await starting;
        assert.equal(await listens(port), false, `it listens although it was stopped after ${ms} ms`);
        await assert.rejects(node.start(), { code: "INTERRUPTED" });
      }
    } finally {
      await rm(dataDir, { recursive: true });
    }
  });

  test(
    "with the chain silent and the other side standing still, whoever sends and whoever receives",
    async () => {
      const flood = Buffer.alloc(64 * 1024);
      await using sink = await startTarget((socket) => socket.resume());
      await using market = await openMarket({ allow: [`127.0.0.1:${sink.port}`] });
      const { exit } = market;
      const payer = market.payers[0] as Part;
      for (const [still, other] of [
        [exit, payer],
        [payer, exit],
      ] as const) {
        await Promise.all([exit.start(), payer.start()]);
        await market.line.become("up");
        const connection = await connectSoon(market, payer);
        const down = download(market, connection, 1n << 30n);
        const up = await socksConnect({ host: "127.0.0.1", port: sink.port, socks: connection.endpoint.socks ?? "" });
        up.on("error", () => undefined);
        const push = () => {
          while (!up.destroyed && up.write(flood));
        };
        up.on("drain", push);
        push();
        await until(() => down.bytes() > 2 ** 20 && sink.received() > 2 ** 20);
        await market.line.become("silent");
        using stopped = standStill(still.process().pid);
        await wait(500);
        assert.equal(await other.stop(60_000), 0, `${other.name} did not end by itself`);
        stopped.go();
        assert.equal(await still.stop(60_000), 0, `${still.name} did not end by itself`);
        up.destroy();
        await down.over;
      }
    },
    { timeoutMs: 300_000 },
  );
});
