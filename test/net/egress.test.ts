import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { noDatabases } from "../../src/country/databases.ts";
import { answerObservations } from "../../src/country/observing.ts";
import type { Clock } from "../../src/lib/clock.ts";
import { systemClock as clock } from "../../src/lib/clock.ts";
import { silentLogger as log } from "../../src/lib/ports.ts";
import type { Way } from "../../src/network/aside.ts";
import { lookAtEgress, watchEgress, wayThrough } from "../../src/node/witnessing.ts";
import { describe } from "../support/harness.ts";
import { soon, startPeer, type TestPeer, until } from "./support.ts";

const config = { protocolPrefix: "/mystnode/test", chainId: 31337, contract: `0x${"11".repeat(20)}` } as const;
/** Loopback has 2^24 addresses: 127.9.9.9 is the exit's, and each 127.x.y.0/24 a network of its own. */
const egress = "127.9.9.9";
const ipOf = (address: string) => address.split("/")[2] ?? "";
const nameOf = (address: string) => ipOf(address).split(".").slice(0, 3).join(".");
const exit = { peer: "exit", addresses: [`/ip4/${egress}/tcp/1`], country: "NL" };
/** as a tunnel's own address */
const way = wayThrough({ interface: "tun", address: egress });

const observer = async (ip: string, says: (from: string) => string = ipOf) => {
  const peer = await startPeer({ listen: [`/ip4/${ip}/tcp/0`], gossip: false, dht: false });
  await answerObservations({ network: peer.network, identity: peer.identity, domain: config, clock, hostOf: says });
  return peer;
};

/** A consumer among these, each of which has a bond. */
async function among(peers: TestPeer[], offered = (peer: TestPeer) => peer.network.addresses()) {
  const consumer = await startPeer({ listen: [], gossip: false, dht: false, loopback: true });
  const noted: unknown[] = [];
  const { network } = consumer;
  const deps = {
    ...{ network, dialler: network, config, databases: noDatabases, clock, log, nameOf },
    judging: {
      staked: async () => peers.map((peer) => ({ peer: peer.identity.peerId, addresses: offered(peer) })),
      noteEgress: async (...note: unknown[]) => void noted.push(note),
    },
  };
  return { deps, noted, [Symbol.asyncDispose]: () => consumer[Symbol.asyncDispose]() };
}

describe("net/egress: where an exit's traffic comes out, as real peers see it", (test) => {
  test("peers say where the question came from, not where the node itself is", async () => {
    await using undo = new AsyncDisposableStack();
    const peers = await Promise.all(["127.1.1.1", "127.2.1.1", "127.3.1.1", "127.4.1.1"].map((ip) => observer(ip)));
    for (const peer of peers) undo.use(peer);
    const { deps } = undo.use(await among(peers));
    const seen = await lookAtEgress(deps, exit, way, soon());
    assert.deepEqual([seen?.address, seen?.observers, seen?.elsewhere], [egress, 4, false]);
    // the control: asked by the node's own way they see another address
    const direct: Way = async (host, port) => connect({ host, port, localAddress: "127.7.7.7" });
    assert.equal((await lookAtEgress(deps, exit, direct, soon()))?.address, "127.7.7.7");
  });

  test("through a SOCKS proxy they see where the proxy comes out", async () => {
    await using undo = new AsyncDisposableStack();
    const peers = await Promise.all(["127.1.1.1", "127.2.1.1", "127.3.1.1"].map((ip) => observer(ip)));
    for (const peer of peers) undo.use(peer);
    const { deps } = undo.use(await among(peers));
    // the least of a SOCKS5 server, as an exit would run one
    const proxy = createServer((client) => {
      client.on("error", () => undefined);
      const asked: Buffer[] = [];
      client.on("data", function read(bytes) {
        asked.push(bytes);
        const request = Buffer.concat(asked).subarray(3);
        if (request.length < 10) return;
        client.off("data", read).pause();
        const host = request.subarray(4, 8).join(".");
        const out = connect({ host, port: request.readUInt16BE(8), localAddress: egress }, () => {
          client.write(Uint8Array.of(5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0));
          client.pipe(out).pipe(client);
        });
        out.on("error", () => client.destroy());
      });
    });
    undo.defer(() => void proxy.close());
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    const socks = `127.0.0.1:${(proxy.address() as { port: number }).port}`;
    assert.equal((await lookAtEgress(deps, exit, wayThrough({ socks }), soon()))?.address, egress);
  });

  test("two are too few; one that lies is outvoted; those that are not where they say count for nothing", async () => {
    await using undo = new AsyncDisposableStack();
    const honest = await Promise.all(["127.1.1.1", "127.2.1.1", "127.3.1.1"].map((ip) => observer(ip)));
    const liar = await observer("127.5.1.1", () => "127.66.6.6");
    for (const peer of [...honest, liar]) undo.use(peer);
    const two = undo.use(await among(honest.slice(1)));
    assert.equal(await lookAtEgress(two.deps, exit, way, soon()), undefined);
    const four = undo.use(await among([...honest, liar]));
    const seen = await lookAtEgress(four.deps, exit, way, soon());
    assert.deepEqual([seen?.address, seen?.observers], [egress, 3]);
    // all of 127.1.1.0/24, but said to be elsewhere: an exit could lead our questions to them all the same
    const crowd = await Promise.all(["127.1.1.2", "127.1.1.3", "127.1.1.4"].map((ip) => observer(ip)));
    for (const peer of crowd) undo.use(peer);
    const [exits, elsewhere] = [new Map<number, string>(), new Map<TestPeer, string>()];
    for (const [index, peer] of crowd.entries()) {
      const [address = ""] = peer.network.addresses();
      exits.set(Number(address.split("/")[4]), ipOf(address));
      elsewhere.set(peer, address.replace(ipOf(address), `127.${20 + index}.1.1`));
    }
    const lying = undo.use(await among(crowd, (peer) => [elsewhere.get(peer) ?? ""]));
    const lead: Way = (_, port, signal) => way(exits.get(port) ?? "", port, signal);
    assert.equal(await lookAtEgress(lying.deps, exit, lead, soon()), undefined);
  });

  test("it is looked at soon after the beginning, told and kept, and again each hour until it is stopped", async () => {
    await using undo = new AsyncDisposableStack();
    const peers = await Promise.all(["127.1.1.1", "127.2.1.1", "127.3.1.1"].map((ip) => observer(ip)));
    for (const peer of peers) undo.use(peer);
    const { deps, noted } = undo.use(await among(peers));
    const waits: number[] = [];
    const quick: Clock = {
      ...clock,
      sleep: async (ms, signal) => {
        if (ms >= 1_000) waits.push(ms);
        await clock.sleep(Math.min(ms, 50), signal);
      },
    };
    const seen: string[] = [];
    const loop = undo.use(watchEgress({ ...deps, clock: quick }, exit, way, ({ address }) => seen.push(address)));
    await until("three rounds", () => seen.length >= 3);
    await loop.stop();
    const count = seen.length;
    assert.deepEqual([...new Set(seen)], [egress]);
    assert.ok(noted.length >= count);
    const [first = 0, second = 0] = waits;
    assert.ok(first < 10_000 && second > 2_000_000, `${first} ${second}`);
  });
});
