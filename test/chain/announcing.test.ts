import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fund } from "../../src/devnet/funding.ts";
import type { NetworkConfig } from "../../src/lib/network-config.ts";
import type { Node } from "../../src/node/types.ts";
import { createNode } from "../../src/node.ts";
import { describe } from "../support/harness.ts";
import { until } from "../support/until.ts";
import { myst, type Rig, startRig } from "./rig.ts";

const offer = {
  country: "DE",
  services: [{ kind: "proxy" as const, perGiB: 1n, perHour: 1n, allow: [], block: [] }],
  maxSessions: 5,
  settleAt: myst,
};

describe("node: who is heard on a network that asks for a bond", (test, { before, after }) => {
  let rig: Rig;
  let network: NetworkConfig;
  const opened = new AsyncDisposableStack();
  const open = async (bootstrap: string[], listens = true): Promise<Node> => {
    const dataDir = await mkdtemp(join(tmpdir(), "mystnode-bond-"));
    opened.defer(() => rm(dataDir, { recursive: true, force: true }));
    const node = opened.use(await createNode({ dataDir, network, bootstrap, ...(listens && { listen: ["/ip4/127.0.0.1/tcp/0"] }) }));
    await node.start();
    return node;
  };
  before(async () => {
    rig = await startRig();
    const { freeAnnouncers, ...rest } = rig.network;
    assert.equal(freeAnnouncers, true, "a chain of one's own is for play");
    network = rest;
  });
  after(async () => {
    await opened.disposeAsync();
    await rig[Symbol.asyncDispose]();
  });

  test(
    "an exit without one is not, by any way; once it has one it is, and it is told of both",
    async () => {
      const helper = await open([]);
      const bootstrap = (await helper.status()).addresses;
      const exit = await open(bootstrap);
      await exit.serve(offer);
      assert.equal((await exit.status()).announcing, "unbonded");
      const consumer = await open([...bootstrap, ...(await exit.status()).addresses], false);
      await until(async () => (await consumer.status()).peers.length === 2);
      assert.deepEqual(await consumer.exits({ waitMs: 3_000 }), []);
      assert.deepEqual(await helper.exits({}), []);
      await fund(rig.rpc, network, exit.address, 2n * myst);
      await exit.wallet.deposit(myst, myst);
      // whoever has looked before looks again only two minutes later
      const late = await open(bootstrap, false);
      const found = await late.exits({ waitMs: 20_000 });
      assert.deepEqual(
        found.map(({ peer }) => peer),
        [exit.peerId],
      );
    },
    { timeoutMs: 120_000 },
  );
});
