import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fund, giveGas } from "../../src/devnet/funding.ts";
import { visit } from "../../src/devnet/visit.ts";
import { startWebServer } from "../../src/devnet/web-server.ts";
import { createNode, type Node, type NodeOptions, type SessionView } from "../../src/node.ts";
import { describe } from "../support/harness.ts";
import { until } from "../support/until.ts";
import { myst, type Rig, startRig } from "./rig.ts";

const relayed = (address: string) => address.includes("/p2p-circuit/");
const prices = { perGiB: myst / 10n, perHour: myst / 100n };

/** A relay, an exit that listens on nothing but relays, and a consumer that knows of neither but the relay. */
describe("chain: an exit behind a relay sells, and is paid", (test, { before, after }) => {
  let rig: Rig;
  let directory = "";
  before(async () => {
    rig = await startRig();
    directory = await mkdtemp(join(tmpdir(), "mr-"));
  });
  after(async () => {
    await rig[Symbol.asyncDispose]();
    await rm(directory, { recursive: true, maxRetries: 5 });
  });
  const open = async (name: string, options: Partial<NodeOptions>): Promise<Node> => {
    const network = { ...rig.network, rpc: [rig.rpc] };
    const node = await createNode({ dataDir: join(directory, name), network, ...options });
    await node.start();
    return node;
  };

  test(
    "the offer leads through the relay; session, promises and megabytes go that way; the promise is cleared",
    async () => {
      await using web = await startWebServer();
      await using relay = await open("relay", { listen: ["/ip4/127.0.0.1/tcp/0"], relay: { dataLimit: 1n << 30n } });
      const bootstrap = (await relay.status()).addresses;
      await using exit = await open("exit", { listen: ["/p2p-circuit"], bootstrap });
      await giveGas(rig.rpc, exit.address);
      const payout = rig.stranger().address;
      const sold = { kind: "proxy" as const, ...prices, allow: [web.hostPort], block: [] };
      await exit.serve({ country: "US", services: [sold], maxSessions: 5, settleAt: myst, payout });
      await using consumer = await open("consumer", { bootstrap });
      await fund(rig.rpc, rig.network, consumer.address, 10n * myst);
      await consumer.wallet.deposit(5n * myst, myst);

      const wanted = { service: "proxy" as const, maxPerGiB: myst, maxPerHour: myst, budget: myst, proxy: "127.0.0.1:0" };
      // an offer that was made before there was a place is made again
      await until(async () => (await consumer.exits({ waitMs: 1_000 })).some(({ addresses }) => addresses.length > 0));
      const connection = await consumer.connect({ ...wanted, country: "US" });
      assert.ok(connection.exit.addresses.length > 0 && connection.exit.addresses.every(relayed));
      // whose exit it is goes into the offer
      assert.equal(connection.exit.owner, payout);
      const bytes = 8 << 20;
      const { socks = "" } = connection.endpoint;
      assert.equal((await visit(`${web.url}/bytes?n=${bytes}`, { socks })).bytes, bytes);
      const way = (await consumer.status()).peers.find(({ peer }) => peer === exit.peerId)?.addresses ?? [];
      assert.ok(way.length === 1 && way.every(relayed), way.join());

      const session = await connection.disconnect();
      const sessions = async (): Promise<SessionView[]> => exit.sessions();
      await until(async () => (await sessions()).some(({ endedMs }) => endedMs !== undefined));
      const [theirs] = await sessions();
      assert.ok(session.usedBytes > BigInt(bytes) && session.promised > 0n);
      assert.deepEqual([theirs?.usedBytes, theirs?.promised], [session.usedBytes, session.promised]);
      await exit.wallet.settle();
      await until(async () => (await sessions())[0]?.cleared === session.promised);
    },
    { timeoutMs: 90_000 },
  );
});
