import assert from "node:assert/strict";
import fc from "fast-check";
import type { Offer } from "../../../src/discovery/offer.ts";
import { matches, rank } from "../../../src/discovery/rank.ts";
import { describe } from "../../support/harness.ts";
import { identity, offerOf } from "./offers.ts";

const [a, b, c] = [identity(1), identity(2), identity(3)] as const;
const known = (offer: Offer) => ({ offer });
const proxy = (perGiB: bigint, perHour = 0n) => [{ kind: "proxy", perGiB, perHour }];

describe("discovery/rank", (test) => {
  test("only what was asked for: country, city, peer, service, price, and not what was excluded", () => {
    const offer = offerOf(a, { city: "New York" });
    for (const query of [
      {},
      { country: "US" },
      { country: "us" },
      { city: "new york" },
      { peer: a.peerId },
      { service: "proxy" },
      { networkKind: "datacenter" },
      { openPorts: [80, 6881] },
      { maxPerGiB: 100n, maxPerHour: 10n },
    ])
      assert.equal(matches(offer, query), true, Object.keys(query).join());
    for (const query of [
      { country: "DE" },
      { city: "Boston" },
      { peer: b.peerId },
      { service: "wireguard" },
      { networkKind: "residential" },
      { openPorts: [80, 25] },
      { maxPerGiB: 99n },
      { maxPerHour: 9n },
      { exclude: [a.peerId] },
    ])
      assert.equal(matches(offer, query), false, Object.keys(query).join());
  });

  test("who only watches for others is no way out, and is found by who asks for that", () => {
    const watch = { kind: "watch", perGiB: 0n, perHour: 0n, feeBps: 200 };
    const [alone, beside] = [offerOf(a, { services: [watch] }), offerOf(b, { services: [...proxy(100n), watch] })];
    const found = (query: Parameters<typeof rank>[1]) => rank([known(alone), known(beside)], query).map(({ offer }) => offer.peer);
    assert.deepEqual(found({}), [b.peerId]);
    assert.deepEqual(found({ maxPerGiB: 50n }), []);
    assert.deepEqual(found({ service: "watch" }).sort(), [a.peerId, b.peerId].sort());
  });

  test("a withdrawn exit fulfils nothing, and one service's price does not excuse another's", () => {
    assert.equal(matches(offerOf(a, { services: [] }), {}), false);
    const offer = offerOf(a, { services: [...proxy(1000n), { kind: "wireguard", perGiB: 1n, perHour: 0n }] });
    assert.equal(matches(offer, { service: "proxy", maxPerGiB: 10n }), false);
    assert.equal(matches(offer, { service: "wireguard", maxPerGiB: 10n }), true);
  });

  test("the cheapest first, by one GiB and one hour; full ones last", () => {
    const offers = [
      known(offerOf(a, { services: proxy(100n, 50n) })),
      known(offerOf(b, { services: proxy(120n, 0n) })),
      known(offerOf(c, { services: proxy(1n), sessions: 10 })),
    ];
    assert.deepEqual(
      rank(offers, {}).map(({ offer }) => offer.peer),
      [b.peerId, a.peerId, c.peerId],
    );
  });

  test("equal prices: the less loaded, then by peer id, in whatever order they came", () => {
    const offers = [
      offerOf(a, { sessions: 1 }),
      offerOf(b),
      offerOf(c),
      offerOf(identity(4)),
      offerOf(identity(5), { maxSessions: 0 }),
    ].map(known);
    const expected = rank(offers, {}).map(({ offer }) => offer.peer);
    assert.deepEqual(expected.slice(0, 3), [b, c, identity(4)].map(({ peerId }) => peerId).sort());
    assert.deepEqual(expected.slice(3), [a.peerId, identity(5).peerId]);
    fc.assert(
      fc.property(fc.shuffledSubarray(offers, { minLength: offers.length }), (shuffled) => {
        assert.deepEqual(
          rank(shuffled, {}).map(({ offer }) => offer.peer),
          expected,
        );
      }),
    );
  });
});
