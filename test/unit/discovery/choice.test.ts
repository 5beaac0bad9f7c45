import assert from "node:assert/strict";
import fc from "fast-check";
import { chanceOf, choose, isFull, type View, weigh } from "../../../src/discovery/choice.ts";
import type { Offer } from "../../../src/discovery/offer.ts";
import { draws } from "../../support/draws.ts";
import { describe } from "../../support/harness.ts";
import { identity, offerOf } from "./offers.ts";

const proxy = (perGiB: bigint, perHour = 0n) => [{ kind: "proxy", perGiB, perHour }];
const known = (number: number, change: Partial<Offer> = {}) => ({ offer: offerOf(identity(number), { services: proxy(100n), ...change }) });
const peerOf = (number: number) => identity(number).peerId;
const scores = (values: Record<number, number>): View => {
  const byPeer = new Map(Object.entries(values).map(([number, score]) => [peerOf(Number(number)), score]));
  return { score: (peer) => byPeer.get(peer) ?? 0 };
};
const peers = (weighed: { known: { offer: Offer } }[]) => weighed.map(({ known: { offer } }) => offer.peer);
const close = (a: number | undefined, b: number) => assert.ok(Math.abs((a ?? Number.NaN) - b) < 1e-9, `${a} is not ${b}`);

describe("discovery/choice: what an exit is worth", (test) => {
  test("the product of its factors: score, speed, country, price, room", () => {
    const view: View = { ...scores({ 1: 0.5, 2: 1 }), mbps: (peer) => (peer === peerOf(1) ? 5 : undefined), countryConfidence: () => 0.8 };
    const [best, other] = weigh([known(1, { sessions: 2, maxSessions: 8 }), known(2, { services: proxy(200n) })], {}, view);
    assert.deepEqual(other?.factors, { score: 0.5, speed: 0.5, country: 0.8, price: 1, room: 0.75, places: 1 });
    close(other?.utility, 0.5 * 0.5 * 0.8 * 0.75);
    assert.deepEqual(best?.factors, { score: 1, speed: 1, country: 0.8, price: 0.5, room: 1, places: 1 });
    close(best?.utility, 0.8 * 0.5);
  });

  test("full exits, and those that do not match, are not among them", () => {
    const offers = [
      known(1),
      known(2, { sessions: 10, maxSessions: 10 }),
      known(3, { maxSessions: 0, sessions: 0 }),
      known(4, { country: "DE" }),
    ];
    assert.deepEqual(peers(weigh(offers, { country: "US" }, scores({ 1: 1, 2: 1, 3: 1, 4: 1 }))), [peerOf(1)]);
    assert.deepEqual(
      offers.map((one) => isFull(one)),
      [false, true, true, false],
    );
  });

  test("where nothing is known of any, all count alike and the price decides; where it is of one, that one counts", () => {
    const offers = [known(1, { services: proxy(100n) }), known(2, { services: proxy(80n) })];
    assert.deepEqual(peers(weigh(offers, {}, scores({}))), [peerOf(2), peerOf(1)]);
    const [first, second] = weigh(offers, {}, scores({ 1: 0.01 }));
    assert.equal(first?.known.offer.peer, peerOf(1));
    assert.equal(second?.utility, 0);
  });

  test("a price of next to nothing is no better than a quarter of the highest", () => {
    const offers = [known(1, { services: proxy(400n) }), known(2, { services: proxy(0n) }), known(3, { services: proxy(100n) })];
    const weighed = weigh(offers, {}, scores({ 1: 1, 2: 1, 3: 1 }));
    const utility = (number: number) => weighed.find((one) => one.known.offer.peer === peerOf(number))?.utility ?? 0;
    close(utility(2), utility(3));
    assert.ok(utility(3) / utility(1) < 4.1);
  });

  test("k in one place count as one; who is much worse takes nothing from who is better", () => {
    const offers = [1, 2, 3, 4, 5].map((number) => known(number));
    const view: View = {
      ...scores({ 1: 0.8, 2: 0.8, 3: 0.8, 4: 0.3, 5: 0.8 }),
      places: (peer) => (peer === peerOf(5) ? ["far"] : ["here", "AS1"]),
    };
    const weighed = weigh(offers, {}, view);
    const places = new Map(weighed.map((one) => [one.known.offer.peer, one.factors.places]));
    for (const number of [1, 2, 3]) close(places.get(peerOf(number)), 1 / 3);
    close(places.get(peerOf(4)), 1 / 4);
    close(places.get(peerOf(5)), 1);
  });

  test("whatever the scores, an exit's part does not grow when others come to its place", () => {
    const amounts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 2, maxLength: 12 });
    fc.assert(
      fc.property(amounts, (values) => {
        const view: View = { ...scores({ ...values }), places: () => ["one"] };
        const offers = values.map((_, index) => known(index));
        const all = weigh(offers, {}, view);
        for (const one of all) assert.ok(one.utility <= one.factors.score && one.factors.places >= 1 / values.length - 1e-12);
        // together they are worth less than twice the best of them
        assert.ok(all.reduce((sum, { utility }) => sum + utility, 0) <= 2 * (all[0]?.factors.score ?? 0) + 1e-9);
      }),
      { numRuns: 200 },
    );
  });
});

describe("discovery/choice: which is tried first", (test) => {
  const offers = [1, 2, 3, 4, 5, 6, 7, 8].map((number) => known(number));
  const firsts = (view: View, times = 4_000) => {
    const random = draws(3);
    const weighed = weigh(offers, {}, view);
    const counts = new Map<string, number>();
    for (let count = 0; count < times; count += 1) {
      const [first] = choose(weighed, view, random);
      counts.set(first?.offer.peer ?? "", (counts.get(first?.offer.peer ?? "") ?? 0) + 1 / times);
    }
    return { weighed, counts };
  };

  test("by utility among the best five, new ones with something at stake one time in twenty; as it is told", () => {
    const view: View = {
      ...scores({ 1: 0.9, 2: 0.8, 3: 0.7, 4: 0.6, 5: 0.5, 6: 0.4, 7: 0, 8: 0 }),
      isNew: (peer) => peer === peerOf(7) || peer === peerOf(8),
      stake: (peer) => (peer === peerOf(7) ? 3 : peer === peerOf(8) ? 1 : peer === peerOf(1) ? 100 : 0),
    };
    const { weighed, counts } = firsts(view);
    for (const one of weighed) {
      const [share, told] = [counts.get(one.known.offer.peer) ?? 0, chanceOf(one, weighed, view)];
      assert.ok(Math.abs(share - told) < 0.03, `${share} beside ${told}`);
    }
    assert.equal(counts.get(peerOf(6)), undefined);
    assert.ok((counts.get(peerOf(7)) ?? 0) > (counts.get(peerOf(8)) ?? 0));
    assert.ok(counts.has(peerOf(8)));
  });

  test("of more than five that are alike, each has its turn", () => {
    const { counts } = firsts(scores({ 1: 0.5, 2: 0.5, 3: 0.5, 4: 0.5, 5: 0.5, 6: 0.5, 7: 0.5, 8: 0.5 }));
    for (const { offer } of offers) assert.ok(Math.abs((counts.get(offer.peer) ?? 0) - 1 / 8) < 0.03);
  });

  test("without stake nothing is explored, unless nobody has any", () => {
    const values = { 1: 0.9, 2: 0.9, 3: 0.9, 4: 0.9, 5: 0.9 };
    const isNew = (peer: string) => peer === peerOf(6);
    const some = firsts({ ...scores(values), isNew, stake: (peer) => (peer === peerOf(1) ? 5 : 0) });
    assert.equal(some.counts.get(peerOf(6)), undefined);
    const none = firsts({ ...scores(values), isNew, stake: () => 0 });
    assert.ok((none.counts.get(peerOf(6)) ?? 0) > 0.03);
  });

  test("everything there is comes once, the same for the same numbers", () => {
    const view = scores({ 1: 0.9, 2: 0.1, 6: 0.3 });
    const weighed = weigh(offers, {}, view);
    const once = choose(weighed, view, draws(9)).map(({ offer }) => offer.peer);
    assert.deepEqual(
      once,
      choose(weighed, view, draws(9)).map(({ offer }) => offer.peer),
    );
    assert.deepEqual(once.toSorted(), offers.map(({ offer }) => offer.peer).toSorted());
    assert.deepEqual(choose([], view, draws(1)), []);
  });
});
