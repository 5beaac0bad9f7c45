import assert from "node:assert/strict";
import { type Announcers, everybody } from "../../../src/discovery/announcers.ts";
import { createSnapshots } from "../../../src/discovery/by-snapshot.ts";
import { openCatalogue } from "../../../src/discovery/catalogue.ts";
import { createIntake } from "../../../src/discovery/intake.ts";
import { encodeOffer, readOffer, type SignedOffer } from "../../../src/discovery/offer.ts";
import { maxPageBytes, pageCodec, questionCodec } from "../../../src/discovery/protocol.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { MystError } from "../../../src/lib/errors.ts";
import { silentLogger } from "../../../src/lib/ports.ts";
import { describe } from "../../support/harness.ts";
import { fakeClock, identity, market, memoryStore, signedBy } from "./offers.ts";

type Answerer = (question: Uint8Array, from: string) => Promise<Uint8Array>;

/** A node whose peers are functions; `asked` holds what it asked of them. */
async function startNode(
  options: { enabled?: boolean; own?: SignedOffer; peers?: Record<string, Answerer>; announcers?: Announcers } = {},
) {
  const { enabled = true, own, announcers = everybody } = options;
  // as in life, nobody is connected when it starts
  let peers: Record<string, Answerer> = {};
  // the next peer is asked when the one before has answered, however busy the machine is
  const sleep = (ms: number, signal?: AbortSignal) => systemClock.sleep(ms * 100, signal);
  const clock = { sleep, nowMs: fakeClock().nowMs };
  const catalogue = await openCatalogue({ store: memoryStore(), clock, network: market, announcers });
  const asked: { peer: string; after?: string | undefined; own: boolean }[] = [];
  const digests: number[] = [];
  const complaints: string[] = [];
  let answer: Answerer = async () => new Uint8Array();
  let connect: (peer: string) => void = () => undefined;
  const network = {
    peers: () => Object.keys(peers).map((peer) => ({ peer, addresses: [], direction: "outbound" as const })),
    ask: async (peer: string, _: string, question: Uint8Array) => {
      const { after, own: handed, known } = questionCodec.decode(question);
      digests.push(known?.bits.length ?? 0);
      asked.push({ peer, after, own: handed !== undefined });
      const theirs = peers[peer];
      if (!theirs) throw new MystError("PEER_UNREACHABLE", "nobody");
      return theirs(question, "me");
    },
    answer: async (_: string, __: unknown, answerer: Answerer) => {
      answer = answerer;
    },
    complain: (peer: string) => void complaints.push(peer),
    onConnect: (listener: (peer: string) => void) => {
      connect = listener;
      return () => undefined;
    },
  };
  const intake = createIntake({ catalogue, announcers, clock, self: "me", isRetired: () => false, onOffer: () => undefined });
  const snapshots = await createSnapshots(
    { network, clock, log: silentLogger, catalogue, announcers, intake, own: { current: () => own } },
    enabled,
  );
  peers = options.peers ?? {};
  return {
    ...snapshots,
    catalogue,
    asked,
    digests,
    complaints,
    question: (question: Parameters<typeof questionCodec.encode>[0] = {}) => answer(questionCodec.encode(question), "somebody"),
    connected: (peer: string) => connect(peer),
    known: () => catalogue.all().map(({ offer }) => offer.peer),
    [Symbol.asyncDispose]: snapshots.stop,
  };
}
const page = (offers: SignedOffer[], more = false) => pageCodec.encode({ offers: offers.map(encodeOffer), more });
const peersIn = (answer: Uint8Array) => pageCodec.decode(answer).offers.map((bytes) => readOffer(bytes).offer.peer);
const byPeer = (a: SignedOffer, b: SignedOffer) => (a.offer.peer < b.offer.peer ? -1 : 1);
const signal = AbortSignal.timeout(60_000);

describe("discovery/by-snapshot", (test) => {
  test("it answers with all it holds and its own, in pages that fit", async () => {
    await using node = await startNode({ own: signedBy(identity(100)) });
    const offers = Array.from({ length: 99 }, (_, index) => signedBy(identity(index + 1), { policy: "p".repeat(300) }));
    for (const offer of offers) node.catalogue.add(offer, "gossip");
    const everyone = [...offers, signedBy(identity(100))].sort(byPeer).map(({ offer }) => offer.peer);
    const whole = await node.question();
    assert.ok(whole.byteLength <= maxPageBytes);
    assert.deepEqual(peersIn(whole), everyone);
    assert.deepEqual(peersIn(await node.question({ after: everyone[49] as string })), everyone.slice(50));
    assert.deepEqual(peersIn(await node.question({ after: "~" })), []);
  });

  test("more than a page: it says so, and who asks on gets the rest", async () => {
    const signed = signedBy(identity(1), { policy: "p".repeat(300) });
    const held = Array.from({ length: 1000 }, (_, index) => ({
      ...signed,
      sources: [],
      offer: { ...signed.offer, peer: `${1000 + index}` },
    }));
    await using node = await startNode();
    node.catalogue.all = () => held;
    const first = pageCodec.decode(await node.question());
    assert.equal(first.more, true);
    const rest = pageCodec.decode(await node.question({ after: `${1000 + first.offers.length - 1}` }));
    assert.equal(rest.more, false);
    assert.equal(first.offers.length + rest.offers.length, 1000);
  });

  test("it pulls page after page, from three peers at a time, and bears those that fail, lie or never end", async () => {
    const [a, b, c] = [signedBy(identity(1)), signedBy(identity(2)), signedBy(identity(3))].sort(byPeer) as [
      SignedOffer,
      SignedOffer,
      SignedOffer,
    ];
    let endless = 0;
    await using node = await startNode({
      peers: {
        good: async (question) => (questionCodec.decode(question).after === undefined ? page([a, b], true) : page([c])),
        forger: async () => page([{ ...signedBy(identity(4)), signature: a.signature }]),
        endless: async () => {
          endless += 1;
          return page([a], true);
        },
      },
    });
    await node.pull(signal);
    assert.deepEqual(
      node.known(),
      [a, b, c].map(({ offer }) => offer.peer),
    );
    assert.deepEqual(
      node.asked.filter(({ peer }) => peer === "good").map(({ after }) => after),
      [undefined, b.offer.peer],
    );
    assert.equal(endless, 2, "a page that does not go on is the last");
    assert.deepEqual(node.complaints, ["forger"]);
  });

  test("what is known already does not come again: three peers with the same offers cost one snapshot", async () => {
    const offers = Array.from({ length: 60 }, (_, index) => signedBy(identity(index + 1)));
    await using other = await startNode();
    for (const offer of offers) other.catalogue.add(offer, "gossip");
    const sent: number[] = [];
    const answer = async (question: Uint8Array) => {
      const bytes = await other.question(questionCodec.decode(question));
      sent.push(pageCodec.decode(bytes).offers.length);
      return bytes;
    };
    await using node = await startNode({ peers: { a: answer, b: answer, c: answer } });
    await node.pull(signal);
    assert.equal(node.known().length, 60);
    assert.deepEqual(sent, [60, 0, 0]);
    assert.deepEqual(node.digests, [0, 75, 75], "10 bits for each that is known");
    const [changed] = offers;
    other.catalogue.add(signedBy(identity(1), { seq: (changed?.offer.seq ?? 0n) + 1n }), "gossip");
    await node.pull(signal);
    assert.ok((sent[3] ?? 0) <= 1, "what has changed is missing, and nothing else");
    assert.equal(node.catalogue.get(identity(1).peerId)?.offer.seq, (changed?.offer.seq ?? 0n) + 1n);
  });

  test("only offers of whom a bond is known are handed on, and our own", async () => {
    const standing: Announcers["standing"] = (address) => (address === identity(1).address ? "bonded" : "unknown");
    await using node = await startNode({ own: signedBy(identity(9)), announcers: { ...everybody, standing } });
    for (const number of [1, 2]) node.catalogue.add(signedBy(identity(number)), "dht");
    assert.deepEqual(peersIn(await node.question()).sort(), [identity(1).peerId, identity(9).peerId].sort());
    assert.equal(node.known().length, 2);
  });

  test("no more than three peers are asked", async () => {
    const peers = Object.fromEntries(Array.from({ length: 9 }, (_, index) => [`peer-${index}`, async () => page([])]));
    await using node = await startNode({ peers });
    await node.pull(signal);
    assert.equal(node.asked.length, 3);
  });

  test("a new offer of its own is handed to neighbours, with nothing asked back; who looks for offers takes it", async () => {
    const own = signedBy(identity(1));
    await using seeker = await startNode();
    await using exit = await startNode({ own, peers: { seeker: (question) => seeker.question(questionCodec.decode(question)) } });
    await exit.exchange();
    assert.deepEqual(exit.asked, [{ peer: "seeker", after: "~", own: true }]);
    assert.deepEqual(seeker.known(), [own.offer.peer]);
    await using silent = await startNode({ peers: { seeker: async () => page([]) } });
    await silent.exchange();
    assert.deepEqual(silent.asked, []);
  });

  test("where snapshots are no source nothing is pulled or taken, but others are answered", async () => {
    await using node = await startNode({
      enabled: false,
      own: signedBy(identity(1)),
      peers: { peer: async () => page([signedBy(identity(2))]) },
    });
    node.connected("peer");
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(node.asked, [{ peer: "peer", after: "~", own: true }]);
    assert.deepEqual(peersIn(await node.question({ own: encodeOffer(signedBy(identity(3))) })), [identity(1).peerId]);
    assert.deepEqual(node.known(), []);
  });

  test("the first three peers are pulled from as they come", async () => {
    const peers = Object.fromEntries([1, 2, 3, 4].map((index) => [`peer-${index}`, async () => page([signedBy(identity(index))])]));
    await using node = await startNode({ peers });
    for (const peer of ["peer-1", "peer-1", "peer-2", "peer-3", "peer-4"]) node.connected(peer);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(
      node.asked.map(({ peer }) => peer),
      ["peer-1", "peer-2", "peer-3"],
    );
    assert.equal(node.known().length, 3);
  });
});
