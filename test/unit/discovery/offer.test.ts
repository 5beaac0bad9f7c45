import assert from "node:assert/strict";
import { decode, encode, type Token } from "cborg";
import fc from "fast-check";
import { encodeOffer, maxOfferBytes, type Offer, openOffer, readOffer, signOffer } from "../../../src/discovery/offer.ts";
import { signRecord } from "../../../src/identity/record.ts";
import { type ErrorCode, isMystError } from "../../../src/lib/errors.ts";
import { describe } from "../../support/harness.ts";
import { identity, market, offerOf, signedBy, startMs } from "./offers.ts";

const owner = identity(1);
const coded =
  (...codes: ErrorCode[]) =>
  (error: unknown) =>
    codes.some((code) => isMystError(error, code));
const open = (bytes: Uint8Array, nowMs = startMs, network = market) => openOffer(bytes, network, nowMs);

/** Any offer of this owner that is valid now. */
const anyOffer: fc.Arbitrary<Offer> = fc
  .record(
    {
      country: fc.constantFrom("US", "DE", "JP"),
      city: fc.option(fc.stringMatching(/^[A-Za-z ]{1,40}$/), { nil: undefined }),
      owner: fc.option(fc.constantFrom(identity(1).address, identity(2).address), { nil: undefined }),
      networkKind: fc.constantFrom("residential", "datacenter", "mobile", "unknown"),
      services: fc.uniqueArray(
        fc.oneof(
          fc.record(
            {
              kind: fc.stringMatching(/^[a-z][a-z0-9-]{0,19}$/).filter((kind) => kind !== "watch"),
              perGiB: fc.bigInt(0n, 2n ** 128n - 1n),
              perHour: fc.bigInt(0n, 2n ** 128n - 1n),
            },
            { noNullPrototype: true },
          ),
          fc.nat(10_000).map((feeBps) => ({ kind: "watch", perGiB: 0n, perHour: 0n, feeBps })),
        ),
        { maxLength: 8, selector: ({ kind }) => kind },
      ),
      policy: fc.stringMatching(/^[a-z ,.]{0,200}$/),
      closedPorts: fc.uniqueArray(fc.integer({ min: 1, max: 65_535 }), { maxLength: 32 }).map((ports) => ports.sort((a, b) => a - b)),
      maxSessions: fc.nat(1_000_000),
      sessions: fc.nat(1_000_000),
      seq: fc.bigInt(0n, BigInt(startMs)),
      expiresMs: fc.integer({ min: startMs + 1, max: startMs + 600_000 }),
    },
    { noNullPrototype: true },
  )
  .map(({ city, owner: of, ...rest }) =>
    offerOf(owner, { ...rest, ...(city !== undefined && { city }), ...(of !== undefined && { owner: of }) }),
  );

/** The body encoded by hand, with one field changed, and signed properly: only the form can be wrong. */
function envelope(change: (body: Record<string, unknown>) => Record<string, unknown>): Uint8Array {
  const { peer, addresses, country, networkKind, policy, closedPorts, maxSessions, sessions, expiresMs } = offerOf(owner);
  const body = encode(
    change({
      peer,
      address: Uint8Array.from(Buffer.from(owner.address.slice(2), "hex")),
      addresses,
      country,
      networkKind,
      services: [{ kind: "proxy", perGiB: Uint8Array.of(100), perHour: Uint8Array.of(10) }],
      policy,
      closedPorts,
      maxSessions,
      sessions,
      seq: Uint8Array.from(Buffer.from(startMs.toString(16).padStart(12, "0"), "hex")).subarray(0),
      expiresMs,
    }),
  );
  return encode({ body, signature: signRecord(owner, { kind: "offer", network: market }, body) });
}

describe("discovery/offer", (test) => {
  test("what was signed is read again, whatever it says", () => {
    fc.assert(
      fc.property(anyOffer, (offer) => {
        const bytes = encodeOffer(signOffer(owner, market, offer));
        assert.ok(bytes.byteLength <= maxOfferBytes);
        assert.deepEqual(open(bytes).offer, offer);
      }),
      { numRuns: 100 },
    );
  });

  test("any changed byte makes it another offer, or none", () => {
    const bytes = encodeOffer(signedBy(owner, { city: "New York" }));
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const tampered = Uint8Array.from(bytes);
        tampered[at] = (tampered[at] ?? 0) ^ change;
        assert.throws(() => open(tampered), coded("MALFORMED", "BAD_SIGNATURE", "OFFER_EXPIRED"));
      }),
      { numRuns: 500 },
    );
  });

  test("bytes that are no offer are refused and never anything else", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 3000 }), (bytes) => assert.throws(() => open(bytes), coded("MALFORMED"))));
    fc.assert(fc.property(fc.anything(), (value) => assert.throws(() => open(encodeAny(value)), coded("MALFORMED"))));
  });

  test("the helper of this file makes a good offer where it changes nothing", () => {
    assert.equal(open(envelope((body) => body)).offer.country, "US");
  });

  const malformed: [what: string, change: (body: Record<string, unknown>) => Record<string, unknown>][] = [
    ["an unknown field", (body) => ({ ...body, extra: 1 })],
    ["a missing field", ({ policy: _, ...body }) => body],
    ["an owner that is no account", (body) => ({ ...body, owner: new Uint8Array(19) })],
    ["a country that is none", (body) => ({ ...body, country: "XX" })],
    ["a country in lower case", (body) => ({ ...body, country: "us" })],
    ["a network kind that is none", (body) => ({ ...body, networkKind: "palace" })],
    ["an address of another peer", (body) => ({ ...body, addresses: [`/ip4/127.0.0.1/tcp/1/p2p/${identity(2).peerId}`] })],
    ["an address that is no TCP one", (body) => ({ ...body, addresses: [`/unix/tmp/p2p/${owner.peerId}`] })],
    ["nine addresses", (body) => ({ ...body, addresses: Array(9).fill(`/ip4/127.0.0.1/tcp/1/p2p/${owner.peerId}`) })],
    ["control characters", (body) => ({ ...body, policy: "\u001b[2J" })],
    ["a port that is none", (body) => ({ ...body, closedPorts: [0] })],
    ["ports that do not rise", (body) => ({ ...body, closedPorts: [587, 25] })],
    ["more closed ports than allowed", (body) => ({ ...body, closedPorts: Array.from({ length: 33 }, (_, index) => index + 1) })],
    ["text that changes its direction", (body) => ({ ...body, policy: "a\u202eb" })],
    ["the same service twice", (body) => ({ ...body, services: Array(2).fill((body.services as unknown[])[0]) })],
    [
      "a price with a leading zero",
      (body) => ({ ...body, services: [{ kind: "proxy", perGiB: Uint8Array.of(0, 1), perHour: Uint8Array.of(1) }] }),
    ],
    [
      "a price over 128 bits",
      (body) => ({ ...body, services: [{ kind: "proxy", perGiB: new Uint8Array(17).fill(1), perHour: Uint8Array.of(1) }] }),
    ],
    [
      "a fee of over the whole",
      (body) => ({ ...body, services: [{ kind: "watch", perGiB: new Uint8Array(), perHour: new Uint8Array(), feeBps: 10_001 }] }),
    ],
    [
      "a watcher without a fee",
      (body) => ({ ...body, services: [{ kind: "watch", perGiB: new Uint8Array(), perHour: new Uint8Array() }] }),
    ],
    [
      "a fee on a way out",
      (body) => ({ ...body, services: [{ kind: "proxy", perGiB: Uint8Array.of(1), perHour: Uint8Array.of(1), feeBps: 100 }] }),
    ],
    ["a negative count", (body) => ({ ...body, sessions: -1 })],
    ["a count that is no integer", (body) => ({ ...body, sessions: 1.5 })],
    ["an expiry that is text", (body) => ({ ...body, expiresMs: "soon" })],
  ];
  for (const [what, change] of malformed) test(`refused: ${what}`, () => assert.throws(() => open(envelope(change)), coded("MALFORMED")));

  test("the same content in another encoding is refused, so that one offer has one form", () => {
    const keyOf = (entry: (Token | Token[])[]) => String((entry[0] as Token).value);
    const inSigned = (body: Uint8Array) => encode({ body, signature: signRecord(owner, { kind: "offer", network: market }, body) });
    const { body } = signedBy(owner);
    assert.equal(readOffer(inSigned(body)).offer.peer, owner.peerId);
    const reordered = encode(decode(body), { mapSorter: (a, b) => (keyOf(a) < keyOf(b) ? 1 : -1) });
    assert.equal(reordered.length, body.length);
    assert.throws(() => readOffer(inSigned(reordered)), coded("MALFORMED"));
    // a map head that says its length in one byte more than needed
    const longer = Uint8Array.from([0xb8, (body[0] ?? 0) & 0x1f, ...body.subarray(1)]);
    assert.throws(() => readOffer(inSigned(longer)), coded("MALFORMED"));
  });

  test("it counts on its own network only, and only as an offer", () => {
    const offer = offerOf(owner);
    const bytes = encodeOffer(signOffer(owner, market, offer));
    assert.equal(open(bytes).offer.peer, owner.peerId);
    assert.throws(() => open(bytes, startMs, { ...market, chainId: 1 }), coded("BAD_SIGNATURE"));
    assert.throws(() => open(bytes, startMs, { ...market, contract: `0x${"cd".repeat(20)}` }), coded("BAD_SIGNATURE"));
    const { body } = signOffer(owner, market, offer);
    const otherKind = encode({ body, signature: signRecord(owner, { kind: "terms", network: market }, body) });
    assert.throws(() => open(otherKind), coded("BAD_SIGNATURE"));
  });

  test("nobody signs for another: not the peer, not the address", () => {
    const stranger = identity(2);
    const theirs = offerOf(owner);
    assert.throws(() => open(encodeOffer(signOffer(stranger, market, theirs))), coded("BAD_SIGNATURE"));
    assert.throws(() => open(encodeOffer(signedBy(owner, { address: stranger.address }))), coded("BAD_SIGNATURE"));
    assert.throws(() => open(encodeOffer(signedBy(stranger, { address: owner.address }))), coded("BAD_SIGNATURE"));
  });

  test("times: over, too far ahead, within what clocks may be apart", () => {
    const at = (change: Partial<Offer>, nowMs = startMs) => open(encodeOffer(signedBy(owner, change)), nowMs);
    assert.throws(() => at({ expiresMs: startMs }), coded("OFFER_EXPIRED"));
    assert.throws(() => at({}, startMs + 600_000), coded("OFFER_EXPIRED"));
    assert.throws(() => at({ expiresMs: startMs + 900_001 }), coded("OFFER_EXPIRED"));
    assert.throws(() => at({ seq: BigInt(startMs + 300_001), expiresMs: startMs + 900_000 }), coded("OFFER_EXPIRED"));
    // made by a clock five minutes fast, read by ours; and by one nine minutes slow
    at({ seq: BigInt(startMs + 300_000), expiresMs: startMs + 900_000 });
    at({ seq: BigInt(startMs - 540_000), expiresMs: startMs + 60_000 });
  });

  test("an offer over 2 KB is not made", () => {
    const addresses = Array.from({ length: 8 }, (_, index) => `/dns4/${"a".repeat(100)}/tcp/${index}/p2p/${owner.peerId}`);
    const services = Array.from({ length: 8 }, (_, index) => ({
      kind: `service-number-${index}`,
      perGiB: 2n ** 127n,
      perHour: 2n ** 127n,
    }));
    assert.throws(() => signedBy(owner, { addresses, services, policy: "p".repeat(300), city: "c".repeat(60) }), coded("MALFORMED"));
    assert.throws(() => signedBy(owner, { country: "XX" }), coded("MALFORMED"));
  });
});

/** CBOR of anything that has one; else something short. */
function encodeAny(value: unknown): Uint8Array {
  try {
    return encode(value);
  } catch {
    return new Uint8Array(1);
  }
}
