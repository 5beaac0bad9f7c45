import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fund } from "../../src/devnet/funding.ts";
import type { Identity } from "../../src/identity/identity.ts";
import { openIdentity } from "../../src/identity/open.ts";
import { createNode, type Node, type NodeEvent, type ServeService } from "../../src/node.ts";
import { clearingDomain } from "../../src/payments/eip712.ts";
import { encodeHead, shardOf, shardTopic } from "../../src/payments/heads/head.ts";
import { channelId, newSalt, signPromise } from "../../src/payments/promise.ts";
import { startPeer } from "../net/support.ts";
import { describe } from "../support/harness.ts";
import { until } from "../support/until.ts";
import { fails, myst, type Rig, startRig } from "./rig.ts";

const prices = { perGiB: myst / 10n, perHour: myst / 100n };
const proxy: ServeService = { kind: "proxy", ...prices, allow: [], block: [] };
const serving = { country: "DE", maxSessions: 5, settleAt: myst / 10n };

/** What a payer's key signs where its ledger is not. */
const elsewhere = (rig: Rig, { address, sign }: Pick<Identity, "address" | "sign">) => {
  const content = { channel: channelId(address, newSalt()), cumulative: myst / 2n, total: myst / 2n, seq: BigInt(Date.now()) << 20n };
  return encodeHead({ signer: address, promise: signPromise(clearingDomain(rig.network), { sign }, content) });
};
const serve = (node: Node, services: ServeService[]) => node.serve({ ...serving, services });
const connect = (node: Node) => node.connect({ service: "proxy", maxPerGiB: myst, maxPerHour: myst, budget: myst, proxy: "127.0.0.1:0" });

describe("chain: nodes, and a payer whose key promises elsewhere too", (test) => {
  test(
    "its session ends and says why, what it owes is cleared, it is let in no more; a relay that sells nothing passes the word on",
    async () => {
      await using undo = new AsyncDisposableStack();
      const rig = undo.use(await startRig());
      const place = async () => {
        const dataDir = await mkdtemp(join(tmpdir(), "mystnode-conflict-"));
        undo.defer(() => rm(dataDir, { recursive: true }));
        return dataDir;
      };
      const open = async (dataDir: string, bootstrap: string[] = [], listen = ["/ip4/127.0.0.1/tcp/0"]): Promise<Node> => {
        const node = undo.use(await createNode({ dataDir, network: { ...rig.network, rpc: [rig.rpc] }, bootstrap, listen }));
        await node.start();
        return node;
      };
      const relay = await open(await place());
      await serve(relay, []);
      const bootstrap = (await relay.status()).addresses;
      const exitDirectory = await place();
      const exit = await open(exitDirectory, bootstrap);
      await serve(exit, [proxy]);
      await fund(rig.rpc, rig.network, exit.address, 0n);
      const events: NodeEvent[] = [];
      exit.events.on((event) => events.push(event));

      const payerDirectory = await place();
      const { identity } = await openIdentity(payerDirectory);
      const payer = await open(payerDirectory, bootstrap, []);
      await fund(rig.rpc, rig.network, payer.address, 20n * myst);
      await payer.wallet.deposit(10n * myst, myst);
      const connection = await connect(payer);
      const promised = () => payer.wallet.show().then(({ promised }) => promised);
      const owed = await promised();
      assert.ok(owed > 0n);

      await using stranger = await startPeer({ dht: false, listen: [], bootstrap, protocolPrefix: rig.network.protocolPrefix });
      const topic = shardTopic(shardOf(payer.address));
      const head = elsewhere(rig, identity);
      await until(async () => (await stranger.network.publish(topic, head)) > 0);
      const error = await fails(connection.ended, "PAYER_CONFLICT");
      assert.match(error.hint ?? "", /wallet retire/);

      const [conflict] = (await exit.status()).conflicts ?? [];
      assert.equal(conflict?.signer, payer.address);
      assert.ok(events.some((event) => event.type === "conflict" && event.signer === payer.address));
      assert.equal((await relay.status()).conflicts?.length, 1);
      await until(() => events.some((event) => event.type === "settled"));
      assert.equal((await payer.wallet.account()).bond, myst, "evidence alone takes nothing");
      await fails(connect(payer), "PAYER_CONFLICT");

      // and after a restart
      await exit.stop();
      const again = await open(exitDirectory, bootstrap);
      await serve(again, [proxy]);
      assert.equal((await again.status()).conflicts?.[0]?.sinceMs, conflict?.sinceMs);
      await fails(connect(payer), "PAYER_CONFLICT");
    },
    { timeoutMs: 60_000 },
  );
});
