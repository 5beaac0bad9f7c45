import assert from "node:assert/strict";
import fc from "fast-check";
import { encodePacked, keccak256, toHex } from "viem/utils";
import { createIdentity } from "../../../src/identity/identity.ts";
import { peerAddress } from "../../../src/identity/peer.ts";
import { type RecordDomain, recordDigest, recordSigner, signRecord } from "../../../src/identity/record.ts";
import type { Hex } from "../../../src/lib/codec.ts";
import { describe } from "../../support/harness.ts";

const identity = createIdentity(new Uint8Array(32).fill(7));
const domain: RecordDomain = { kind: "offer", network: { chainId: 1, contract: `0x${"11".repeat(20)}` } };
const body = Uint8Array.of(1, 2, 3);
const bytes = fc.uint8Array({ maxLength: 200 });
const domains = fc.record({
  kind: fc.stringMatching(/^[a-z]{1,10}$/),
  network: fc.record({
    chainId: fc.integer({ min: 1, max: 2 ** 31 }),
    contract: fc.uint8Array({ minLength: 20, maxLength: 20 }).map((raw) => `0x${Buffer.from(raw).toString("hex")}` as Hex),
  }),
});

describe("identity/record: signed records", (test) => {
  test("a record's signer is found from domain, body and signature", () => {
    const signature = signRecord(identity, domain, body);
    assert.equal(signature.length, 64);
    assert.equal(recordSigner(domain, body, signature), identity.address);
    assert.equal(peerAddress(identity.peerId), identity.address);
  });

  test("its digest is as written down: other implementations depend on it", () => {
    const { kind, network } = domain;
    const text = new TextEncoder().encode(`mystnode ${kind} v1`);
    const packed = encodePacked(
      ["bytes", "bytes1", "uint64", "address", "bytes"],
      [toHex(text), "0x00", BigInt(network.chainId), network.contract, toHex(body)],
    );
    assert.deepEqual(recordDigest(domain, body), keccak256(packed, "bytes"));
  });

  test("it is nobody's record under another kind, chain, contract or body", () => {
    const signature = signRecord(identity, domain, body);
    const { kind, network } = domain;
    const others: [RecordDomain, Uint8Array][] = [
      [{ kind: "peer", network }, body],
      [{ kind, network: { ...network, chainId: 2 } }, body],
      [{ kind, network: { ...network, contract: `0x${"12".repeat(20)}` } }, body],
      [domain, Uint8Array.of(1, 2)],
    ];
    for (const [other, otherBody] of others) {
      let signer: string | undefined;
      try {
        signer = recordSigner(other, otherBody, signature);
      } catch {
        continue;
      }
      assert.notEqual(signer, identity.address);
    }
  });

  test("two different records never have one digest: each part stands where no other part can reach", () => {
    fc.assert(
      fc.property(domains, domains, bytes, bytes, (a, b, bodyA, bodyB) => {
        const same = JSON.stringify([a, [...bodyA]]) === JSON.stringify([b, [...bodyB]]);
        assert.equal(Buffer.compare(recordDigest(a, bodyA), recordDigest(b, bodyB)) === 0, same);
      }),
      { numRuns: 50 },
    );
  });
});
