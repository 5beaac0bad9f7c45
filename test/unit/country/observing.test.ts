import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import {
  agreedEgress,
  answerObservations,
  chooseObservers,
  type Observation,
  observationQuestion,
  observeProtocol,
  readObservation,
} from "../../../src/country/observing.ts";
import { createIdentity } from "../../../src/identity/identity.ts";
import { isMystError } from "../../../src/lib/errors.ts";
import type { Network } from "../../../src/network/network.ts";
import { describe } from "../../support/harness.ts";

const [identity, other] = [createIdentity(randomBytes(32)), createIdentity(randomBytes(32))];
const domain = { chainId: 31337, contract: `0x${"11".repeat(20)}` } as const;
const nonce = randomBytes(16);
type Answerer = Parameters<Network["answer"]>[2];

/** What a peer answers to whoever comes from that address. */
async function observer() {
  let nowMs = 1_000_000;
  let answerer: Answerer | undefined;
  const network = {
    answer: async (protocol: string, _: unknown, made: Answerer) => {
      assert.equal(protocol, observeProtocol);
      answerer = made;
    },
  };
  await answerObservations({ network, identity, domain, clock: { nowMs: () => nowMs } });
  return {
    ask: (from: string, question = observationQuestion(nonce)) => (answerer as Answerer)(question, "somebody", from),
    pass: (ms: number) => {
      nowMs += ms;
    },
  };
}
const read = (bytes: Uint8Array, change: object = {}) =>
  readObservation(bytes, { peer: identity.peerId, nonce, nowMs: 1_000_000, domain, ...change });
const code = (expected: string) => (error: unknown) => isMystError(error) && error.code === expected;

describe("country/observing", (test) => {
  test("whoever asks is told where the connection comes from, signed", async () => {
    const { ask } = await observer();
    assert.equal(read(await ask("/ip4/45.1.2.3/tcp/5000")), "45.1.2.3");
    assert.equal(read(await ask("/ip6/2a00::1/tcp/5000")), "2a00::1");
    assert.equal(read(await ask("/ip6/::ffff:45.1.2.3/tcp/5000")), "45.1.2.3");
  });

  test("who comes through a relay, or from this machine, is not told", async () => {
    const { ask } = await observer();
    await assert.rejects(ask("/ip4/45.1.2.3/tcp/1/p2p/relay/p2p-circuit"), code("MALFORMED"));
    await assert.rejects(ask("/ip4/127.0.0.1/tcp/1"), code("MALFORMED"));
    await assert.rejects(ask("/ip4/45.1.2.3/tcp/1", randomBytes(64)), code("MALFORMED"));
  });

  test("an answer counts for one question, one peer, one network and its time, and as it was signed", async () => {
    const { ask } = await observer();
    const bytes = await ask("/ip4/45.1.2.3/tcp/5000");
    assert.throws(() => read(bytes, { nonce: randomBytes(16) }), code("MALFORMED"));
    assert.throws(() => read(bytes, { nowMs: 1_700_000 }), code("MALFORMED"));
    assert.throws(() => read(bytes, { peer: other.peerId }), code("BAD_SIGNATURE"));
    assert.throws(() => read(bytes, { domain: { ...domain, chainId: 1 } }), code("BAD_SIGNATURE"));
    const at = Buffer.from(bytes).indexOf(Buffer.from([45, 1, 2, 3]));
    const forged = Uint8Array.from(bytes).fill(46, at, at + 1);
    assert.throws(() => read(forged), code("BAD_SIGNATURE"));
  });

  test("one network cannot keep it busy", async () => {
    const { ask, pass } = await observer();
    for (let count = 0; count < 16; count += 1) await ask(`/ip4/45.1.2.${count}/tcp/1`);
    await assert.rejects(ask("/ip4/45.1.2.99/tcp/1"), code("PEER_REFUSED"));
    await ask("/ip4/45.1.3.1/tcp/1");
    pass(6_000);
    await ask("/ip4/45.1.2.99/tcp/1");
  });

  const by = (network: string, address: string): Observation => ({ peer: `peer ${network}`, network, address });

  test("who is asked is of a network of its own, and not of the exit's", () => {
    const peer = (name: string, ...ips: string[]) => ({ peer: name, addresses: ips.map((ip) => `/ip4/${ip}/tcp/1`) });
    const exit = peer("exit", "45.1.1.1");
    const all = [
      peer("beside it", "45.1.1.2"),
      peer("a", "45.1.2.1"),
      peer("a's other", "45.1.2.2"),
      exit,
      peer("b", "45.1.3.1"),
      peer("c", "45.1.4.1"),
    ];
    const chosen = (most: number, ...more: { peer: string; addresses: string[] }[]) =>
      chooseObservers([...more, ...all], exit, most).map((one) => one.peer);
    assert.deepEqual(chosen(5), ["a", "b", "c"]);
    assert.deepEqual(chosen(2), ["a", "b"]);
    const relayed = { peer: "relayed", addresses: ["/ip4/45.9.9.9/tcp/1/p2p/relay/p2p-circuit"] };
    assert.deepEqual(chosen(5, relayed, { peer: "named", addresses: ["/dns4/example.org/tcp/1"] }), ["a", "b", "c"]);
  });

  test("three of networks of their own have to agree; many of one network are one", () => {
    const three = [by("a", "45.1.2.3"), by("b", "45.1.2.3"), by("c", "45.1.2.3")];
    assert.deepEqual(agreedEgress(three), { address: "45.1.2.3", observers: 3 });
    assert.equal(agreedEgress(three.slice(1)), undefined);
    assert.equal(agreedEgress([...three.slice(1), by("b", "45.1.2.3"), by("b", "45.1.2.3")]), undefined);
    assert.deepEqual(agreedEgress([]), undefined);
  });

  test("one that says otherwise is outvoted, half are not", () => {
    const three = [by("a", "45.1.2.3"), by("b", "45.1.2.3"), by("c", "45.1.2.3")];
    assert.equal(agreedEgress([...three, by("d", "46.1.1.1")])?.address, "45.1.2.3");
    assert.equal(agreedEgress([...three, by("d", "46.1.1.1"), by("e", "46.1.1.1"), by("f", "46.1.1.1")]), undefined);
  });

  test("an exit with several addresses in a network comes out there all the same", () => {
    const egress = agreedEgress([by("a", "45.1.2.3"), by("b", "45.1.2.4"), by("c", "45.1.2.4")]);
    assert.deepEqual(egress, { address: "45.1.2.4", observers: 3 });
  });
});
