import assert from "node:assert/strict";
import { signOffer } from "../../../src/discovery/offer.ts";
import { signHandover } from "../../../src/identity/handover.ts";
import type { Identity } from "../../../src/identity/identity.ts";
import { recordDigest } from "../../../src/identity/record.ts";
import type { Hex } from "../../../src/lib/codec.ts";
import { checkDigest, clearingDomain, openDigest, promiseDigest, termsDigest } from "../../../src/payments/eip712.ts";
import { describe } from "../../support/harness.ts";
import { identity, market, offerOf } from "../discovery/offers.ts";

/** Everything that this program asks a key to sign. */
const [alice, bob] = [identity(1), identity(2)] as const;
const zero = `0x${"00".repeat(20)}` as Hex;
const word = `0x${"00".repeat(32)}` as Hex;

/** The digests that an identity is asked to sign while `work` runs. */
function signedBy(work: (recording: Identity) => unknown): string[] {
  const digests: string[] = [];
  const recording: Identity = {
    ...alice,
    sign: (digest) => {
      digests.push(Buffer.from(digest).toString("hex"));
      return alice.sign(digest);
    },
  };
  work(recording);
  return digests;
}

const networks = [market, { ...market, chainId: 1 }, { ...market, contract: `0x${"cd".repeat(20)}` as Hex }];
const clearing = (network: (typeof networks)[0]) => clearingDomain({ ...network } as Parameters<typeof clearingDomain>[0]);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

describe("identity: what is signed for one purpose and network is signed for no other", (test) => {
  test("offers, hand-overs, records, promises, checks, consents and terms have digests of their own, on each network", () => {
    const digests = networks.flatMap((network) => {
      const domain = clearing(network);
      return [
        ...signedBy((key) => signOffer(key, network, offerOf(alice))),
        ...signedBy((key) => signHandover(key, bob, network, 1)),
        ...signedBy((key) => signHandover(bob, key, network, 1)),
        ...["offer", "handover", "pair", "x"].map((kind) => hex(recordDigest({ kind, network }, new Uint8Array(32)))),
        hex(promiseDigest(domain, { channel: word, cumulative: 0n, total: 0n, seq: 0n })),
        hex(checkDigest(domain, { promiseHash: word, to: zero, feeBps: 0, deadline: 0n })),
        hex(openDigest(domain, zero)),
        hex(termsDigest(domain, { session: word, signer: zero, channel: word, perHour: 0n, perGiB: 0n, quantum: 0n, validUntil: 0n })),
      ];
    });
    assert.equal(digests.length, 11 * networks.length);
    assert.equal(new Set(digests).size, digests.length);
  });

  test("a kind is no beginning of another, and its end is not the body's beginning", () => {
    const digest = (kind: string, body: string) => hex(recordDigest({ kind, network: market }, Buffer.from(body, "latin1")));
    assert.notEqual(digest("offer", "x"), digest("offe", "rx"));
    assert.notEqual(digest("offer v1", ""), digest("offer", " v1"));
    assert.notEqual(digest("a", "b\0"), digest("a", "b"));
  });
});
