import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { isMystError } from "../../../src/lib/errors.ts";
import type { Topic } from "../../../src/network/network.ts";
import { describe } from "../../support/harness.ts";
import { until } from "../../support/until.ts";
import { enterNamespaces, ip } from "../../tunnel/backend/rig.ts";
import { startPeer, type TestPeer } from "../support.ts";

const skip = enterNamespaces(import.meta.filename);
const port = 4480;
/** addresses that look public, all of them this machine's: who connects to one comes from it */
const others = ["45.1.0.2", "45.2.0.2", "45.3.0.2"];
const inside = "192.168.5.2";
const nft = (rules: string) => execFileSync("nft", ["-f", "-"], { input: rules });
const shut = () =>
  nft(`table ip shut {
  chain in { type filter hook input priority 0; policy accept;
    tcp dport ${port} ct state new reject with tcp reset
  }
}
`);
const open = () => nft("table ip shut\ndelete table ip shut\n");
const quick = { firstMs: 100, soonMs: 300, goodMs: 500 };
const never = { firstMs: 600_000, soonMs: 600_000, goodMs: 600_000 };

type Options = Parameters<typeof startPeer>[0];
/** A peer that listens on all addresses, connected to three in networks of their own. */
async function market(asker: Options = {}, other: Options = {}) {
  const undo = new AsyncDisposableStack();
  const peers: TestPeer[] = [];
  for (const address of others)
    peers.push(undo.use(await startPeer({ listen: [`/ip4/${address}/tcp/5000`], reaching: never, dht: false, gossip: false, ...other })));
  const bootstrap = peers.map(({ network }, index) => `/ip4/${others[index]}/tcp/5000/p2p/${network.peerId}`);
  const one = undo.use(
    await startPeer({ listen: [`/ip4/0.0.0.0/tcp/${port}`], bootstrap, reaching: never, dht: false, gossip: false, ...asker }),
  );
  await until(() => one.network.peers().length === others.length);
  return { peers, one, network: one.network, [Symbol.asyncDispose]: () => undo.disposeAsync() };
}
const soon = () => AbortSignal.timeout(10_000);
const announced = ({ network }: TestPeer) =>
  network.addresses().filter((address) => address.startsWith("/ip4/45.") && !address.includes("/p2p-circuit"));

describe("net/reaching: whether others can dial us", (register, { before }) => {
  const test = (name: string, work: () => Promise<void>) => register(name, work, { skip });
  before(async () => {
    if (!skip) for (const address of [...others, inside]) ip("address", "add", `${address}/32`, "dev", "lo");
  });

  test("peers that are asked come, at the port and nowhere else, and stay connected as they were", async () => {
    await using at = await market({ gossip: true }, { gossip: true });
    const heard = others.map((): string[] => []);
    const topic = (texts: string[]): Topic<string> => ({
      ...{ name: "words", maxBytes: 100, onMessage: (text: string) => void texts.push(text) },
      validate: async (bytes) => ({ validity: "accept", value: Buffer.from(bytes).toString() }),
    });
    for (const [index, { network }] of at.peers.entries()) await network.subscribe(topic(heard[index] ?? []));
    await at.network.subscribe(topic([]));
    let said = 0;
    /** the same bytes twice are one message */
    const say = (text: string) =>
      until(async () => {
        await at.network.publish("words", Buffer.from(`${text} ${said++}`));
        return heard.every((texts) => texts.some((one) => one.startsWith(text)));
      });
    await say("before");
    const connections = () => at.network.peers().map(({ peer, direction, addresses }) => `${peer} ${direction} ${addresses}`);
    const before = connections();
    assert.equal((await at.network.reach(port, soon())).reached, "yes");
    assert.deepEqual(await at.network.reach(port + 1, soon()).then(({ reached }) => reached), "no");
    shut();
    try {
      assert.equal((await at.network.reach(port, soon())).reached, "no");
    } finally {
      open();
    }
    // what they came by is gone, and nothing else
    await until(() => connections().join() === before.join());
    await say("after");
  });

  test("of one host three questions are answered, and then one a minute", async () => {
    await using at = await market();
    for (let time = 0; time < 3; time += 1) assert.equal((await at.network.reach(port, soon())).reached, "yes");
    assert.deepEqual(await at.network.reach(port, soon()), { reached: "unknown" });
  });

  test("nobody dials back into a private network", async () => {
    await using peer = await startPeer({ listen: ["/ip4/0.0.0.0/tcp/5001"], reaching: never, loopback: false });
    await using asker = await startPeer({ listen: ["/ip4/0.0.0.0/tcp/5002"], reaching: never, loopback: false });
    await asker.network.connect(peer.network.peerId, [`/ip4/${inside}/tcp/5001`], soon());
    assert.deepEqual(await asker.network.reach(5002, soon()), { reached: "unknown" }, "it asks nobody there");
    const question = Uint8Array.from([0xa1, 0x64, ...Buffer.from("port"), 0x19, 5002 >> 8, 5002 & 255]);
    await assert.rejects(asker.network.ask(peer.network.peerId, "dial-back/1.0.0", question, soon()), (error) =>
      isMystError(error, "PEER_REFUSED"),
    );
  });

  test("an address that nobody reaches is withdrawn and a relay found; once somebody comes it is announced again", async () => {
    shut();
    try {
      await using at = await market({ reaching: quick }, { relay: {} });
      assert.ok(announced(at.one).length > 0, "it is announced before anybody was asked");
      await until(() => announced(at.one).length === 0, 10_000);
      await until(() => at.network.addresses().some((address) => address.includes("/p2p-circuit/")), 10_000);
      open();
      await until(() => announced(at.one).length > 0, 10_000);
    } finally {
      open();
    }
  });

  test("while one is reached it stays announced, and no relay is looked for", async () => {
    await using at = await market({ reaching: quick }, { relay: {} });
    await new Promise((done) => setTimeout(done, 2_000));
    assert.ok(announced(at.one).length > 0);
    assert.ok(!at.network.addresses().some((address) => address.includes("/p2p-circuit/")));
  });
});
