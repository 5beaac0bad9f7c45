import assert from "node:assert/strict";
import { circuitRelayServer, circuitRelayTransport } from "@libp2p/circuit-relay-v2";
import { identify } from "@libp2p/identify";
import { noise } from "@libp2p/noise";
import { tcp } from "@libp2p/tcp";
import { yamux } from "@libp2p/yamux";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";
import type { NetworkOptions } from "../../src/network/host.ts";
import { createRelayTransport } from "../../src/network/relay-client.ts";
import { describe } from "../support/harness.ts";
import { digest, type Pair, pattern, proxyRig, readAll, startTarget } from "../support/proxy-rig.ts";
import { associate, startUdp } from "../support/socks-datagrams.ts";
import { soon, startPeer, type TestPeer, until } from "./support.ts";

type Relay = Exclude<NetworkOptions["relay"], string | undefined>;
const plain = { gossip: false, dht: false };
const throughRelay = (address: string) => address.includes("/p2p-circuit/");

/** An exit that is to be reached through the relay alone, and has its place there. */
async function startExit(relay: { network: Pick<TestPeer["network"], "addresses"> }): Promise<TestPeer> {
  const exit = await startPeer({ ...plain, listen: ["/p2p-circuit"], bootstrap: relay.network.addresses() });
  await until("the exit has a place", () => exit.network.addresses().length > 0);
  assert.ok(exit.network.addresses().every(throughRelay));
  return exit;
}

async function startPair(offer: Relay): Promise<Pair & { relay: TestPeer; networks: { consumer: TestPeer; exit: TestPeer } }> {
  await using undo = new AsyncDisposableStack();
  const relay = undo.use(await startPeer({ ...plain, relay: offer }));
  const exit = undo.use(await startExit(relay));
  const consumer = undo.use(await startPeer({ ...plain, listen: [] }));
  await consumer.network.connect(exit.network.peerId, exit.network.addresses(), soon());
  const parts = undo.move();
  return {
    ...{ consumer: consumer.network, exit: exit.network, relay, networks: { consumer, exit } },
    ...{ consumerPeer: consumer.network.peerId, exitPeer: exit.network.peerId },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

/** A relay as libp2p makes it, with its own limits. */
async function startForeignRelay() {
  const host = await createLibp2p({
    addresses: { listen: ["/ip4/127.0.0.1/tcp/0"] },
    ...{ transports: [tcp()], connectionEncrypters: [noise()], streamMuxers: [yamux()] },
    services: { identify: identify({ protocolPrefix: "mystnode/test" }), relay: circuitRelayServer() },
  });
  return { network: { addresses: () => host.getMultiaddrs().map(String) }, [Symbol.asyncDispose]: async () => void (await host.stop()) };
}

/** A libp2p host that belongs to no network of ours. */
const startStranger = () => createLibp2p({ transports: [tcp()], connectionEncrypters: [noise()], streamMuxers: [yamux()] });

describe("network/relay: an exit that is reached through a relay only", (test) => {
  for (const [name, offer] of [
    ["without limits", {}],
    ["with limits", { dataLimit: 1n << 30n, timeLimitMs: 3_600_000 }],
  ] as const)
    test(
      `${name}: connections and datagrams, intact, counted the same at both ends, over one connection`,
      async () => {
        await using pair = await startPair(offer);
        await using rig = await proxyRig(pair);
        await using echo = await startUdp();
        await using target = await startTarget((socket) => socket.pipe(socket));
        const content = pattern(2 << 20);
        const carried = Array.from({ length: 4 }, async () => {
          const client = await rig.connect(target);
          client.end(content);
          return digest(await readAll(client));
        });
        await using program = await associate(rig.handle.endpoint.socks ?? "");
        program.send(echo, "hello");
        assert.equal(String((await program.next()).payload), "hello");
        assert.deepEqual(await Promise.all(carried), Array(4).fill(digest(content)));
        const total = BigInt(8 * content.length + 2 * (5 + 28));
        assert.equal(await rig.handle.close(), total);
        assert.equal(await rig.grant.end(), total);
        for (const peer of [pair.networks.consumer, pair.networks.exit]) {
          const other = peer.network.peers().find((one) => one.peer !== pair.relay.network.peerId);
          assert.equal(other?.addresses.length, 1);
          assert.ok(other.addresses.every(throughRelay));
        }
      },
      { timeoutMs: 60_000 },
    );

  test("a limit of time ends the connection, and another can be had", async () => {
    await using pair = await startPair({ timeLimitMs: 2_500 });
    let gone = false;
    const { consumer, exit } = pair.networks;
    consumer.network.onDisconnect((peer) => {
      gone ||= peer === exit.network.peerId;
    });
    await until("the relay has hung up", () => gone);
    await consumer.network.connect(exit.network.peerId, exit.network.addresses(), soon());
  });

  test("a relay that carries too little for a session is as good as none", async () => {
    await using relay = await startForeignRelay();
    await using exit = await startExit(relay);
    await using consumer = await startPeer({ ...plain, listen: [] });
    await assert.rejects(
      consumer.network.connect(exit.network.peerId, exit.network.addresses(), soon()),
      (error: Error & { code: string }) => {
        assert.equal(error.code, "PEER_UNREACHABLE");
        assert.match(error.message, /carries 1\d{5} bytes at most/);
        return true;
      },
    );
    await until("it is hung up on", () => !exit.network.peers().some(({ peer }) => peer === consumer.network.peerId));
  });

  test("a relay that would be of no use is refused at once", async () => {
    await assert.rejects(startPeer({ ...plain, relay: { dataLimit: 1n << 20n } }), { code: "BAD_VALUE" });
  });

  test("a relay that comes back is found again; without it there is no address", async () => {
    const listen = ["/ip4/127.0.0.1/tcp/0"];
    let relay = await startPeer({ ...plain, relay: {}, listen });
    const { identity } = relay;
    const [at = ""] = relay.network.addresses();
    await using exit = await startExit(relay);
    let told = 0;
    exit.network.onAddresses(() => {
      told += 1;
    });
    await relay[Symbol.asyncDispose]();
    await until("the address is gone", () => exit.network.addresses().length === 0);
    const before = told;
    relay = await startPeer({ ...plain, relay: {}, identity, listen: [at.replace(/\/p2p\/.*/, "")] });
    await using consumer = await startPeer({ ...plain, listen: [] });
    await until("there is a place again", () => exit.network.addresses().length > 0);
    await consumer.network.connect(exit.network.peerId, exit.network.addresses(), soon());
    await until("it is told", () => told > before);
    await relay[Symbol.asyncDispose]();
  });

  test("who finds no relay waits for one to come by, and does not look through the DHT without a pause", async () => {
    const walks = async (transport: ReturnType<typeof circuitRelayTransport>) => {
      let walked = false;
      const walk = async function* () {
        walked = true;
        yield* [];
      };
      const host = await createLibp2p({
        addresses: { listen: ["/p2p-circuit"] },
        transports: [(components) => transport(Object.create(components, { randomWalk: { value: { walk } } }))],
        ...{ connectionEncrypters: [noise()], streamMuxers: [yamux()], services: { identify: identify() } },
      });
      await new Promise((resolve) => setTimeout(resolve, 200));
      await host.stop();
      return walked;
    };
    assert.equal(await walks(circuitRelayTransport()), true, "libp2p's own does");
    assert.equal(await walks(createRelayTransport().transport), false);
  });

  test("nobody else relays to a peer, and nobody else is relayed for", async () => {
    const stop = "/libp2p/circuit/relay/0.2.0/stop";
    const hop = "/libp2p/circuit/relay/0.2.0/hop";
    await using relay = await startPeer({ ...plain, relay: {} });
    await using using_ = await startPeer({ ...plain, relay: "use", bootstrap: relay.network.addresses() });
    await until("it has a place", () => using_.network.addresses().some(throughRelay));
    await using none = await startPeer({ ...plain, relay: "none" });
    const stranger = await startStranger();
    try {
      const to = ({ network }: TestPeer) => multiaddr(network.addresses().find((address) => !throughRelay(address)) ?? "");
      /** Says one message, and is hung up on without an answer. */
      const unanswered = async (peer: TestPeer, protocol: string, message: number[]) => {
        const stream = await stranger.dialProtocol(to(peer), protocol, { signal: soon() });
        let answered = 0;
        stream.addEventListener("message", ({ data }) => {
          answered += data.byteLength;
        });
        if (stream.status === "open") stream.send(Uint8Array.of(message.length, ...message));
        await until("the stream is over", () => stream.status !== "open");
        assert.deepEqual([stream.status, answered], ["reset", 0], protocol);
      };
      await assert.rejects(stranger.dialProtocol(to(none), stop), { name: "UnsupportedProtocolError" });
      await assert.rejects(stranger.dialProtocol(to(using_), hop), { name: "UnsupportedProtocolError" });
      const id = stranger.peerId.toMultihash().bytes;
      // CONNECT of a peer, and RESERVE (circuit relay v2, protobuf)
      await unanswered(using_, stop, [8, 0, 0x12, id.length + 2, 0x0a, id.length, ...id]);
      await unanswered(relay, hop, [8, 0]);
    } finally {
      await stranger.stop();
    }
    const places = using_.network.addresses().filter(throughRelay);
    assert.ok(places.length > 0 && places.every((address) => address.includes(relay.network.peerId)));
  });
});
