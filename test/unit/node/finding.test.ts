import assert from "node:assert/strict";
import type { KnownOffer, OfferQuery } from "../../../src/discovery/discovery.ts";
import type { Offer } from "../../../src/discovery/offer.ts";
import { rank } from "../../../src/discovery/rank.ts";
import { findExits } from "../../../src/node/finding.ts";
import type { Least } from "../../../src/node/judging.ts";
import { listExits, sorted } from "../../../src/node/listing.ts";
import type { CountryState, ExitView, FindOptions } from "../../../src/node/types.ts";
import { exitViews } from "../../../src/node/views.ts";
import { describe } from "../../support/harness.ts";
import { identity, signedBy } from "../discovery/offers.ts";

const known = (number: number, change: Partial<Offer> = {}): KnownOffer => ({ ...signedBy(identity(number), change), sources: ["gossip"] });
const peer = (number: number) => identity(number).peerId;
const wish: FindOptions = { service: "proxy", maxPerGiB: 1_000n, maxPerHour: 1_000n };
const unit = { symbol: "MYST", decimals: 18 };

/** What is found where these are offered; what is chosen of them is told backwards, to be seen. */
function find(
  offers: KnownOffer[],
  options: Partial<FindOptions> = {},
  scores: Record<string, number> = {},
  states: Record<string, CountryState> = {},
) {
  const asked: { query: OfferQuery; evidence: Least["evidence"] }[] = [];
  const discovery = { search: async (query: OfferQuery) => rank(offers, query), offers: () => offers, find: async function* () {} };
  const choose = async (found: KnownOffer[], query: OfferQuery, { minScore = 0, evidence }: Least = {}) => {
    asked.push({ query, evidence });
    return found.filter(({ offer }) => offer.sessions < offer.maxSessions && (scores[offer.peer] ?? 0) >= minScore).toReversed();
  };
  const deps = {
    network: { connect: async () => undefined },
    discovery,
    judging: { choose, shown: async (exits: ExitView[]) => exits.map((exit) => ({ ...exit, evidence: states[exit.peer] ?? "claimed" })) },
    unit,
    self: { peer: "me" },
  };
  return { found: findExits(deps, { ...wish, ...options }, new AbortController().signal), asked };
}
const code = (expected: string) => (error: unknown) => (error as { code?: string }).code === expected;

describe("node/connecting: which exits are tried", (test) => {
  test("in the order that was chosen, by what is asked for and what it may cost", async () => {
    const { found, asked } = find([known(1), known(2), known(3, { services: [{ kind: "wireguard", perGiB: 1n, perHour: 1n }] })]);
    const order = (await found).map((exit) => exit.peer);
    assert.deepEqual(order, [peer(1), peer(2)].sort().reverse());
    assert.deepEqual(asked[0]?.query, { service: "proxy", exclude: ["me"], maxPerGiB: 1_000n, maxPerHour: 1_000n });
  });

  test("among the first at most two of one network, for who has a whole one is not all there is; the order is kept otherwise", async () => {
    const at = (number: number, ip: string) => known(number, { addresses: [`/ip4/${ip}/tcp/1/p2p/${peer(number)}`] });
    const crowd = [1, 2, 3, 4].map((number) => at(number, `45.1.1.${number}`));
    const { found } = find([...crowd, at(5, "45.1.2.1"), at(6, "45.1.3.1")]);
    const order = (await found).map((exit) => exit.peer);
    const chosen = [1, 2, 3, 4, 5, 6].map(peer).sort().reverse();
    const ofCrowd = (name: string) => crowd.some(({ offer }) => offer.peer === name);
    assert.deepEqual(order.slice(0, 4).filter(ofCrowd), chosen.filter(ofCrowd).slice(0, 2));
    assert.deepEqual(order.slice(4), chosen.filter(ofCrowd).slice(2));
  });

  test("all full: that is said, and not that there is none; one that is named is tried all the same", async () => {
    const full = { sessions: 10, maxSessions: 10 };
    await assert.rejects(find([known(1, full), known(2, full)]).found, code("EXIT_FULL"));
    assert.equal((await find([known(1, full)], { peer: peer(1) }).found).length, 1);
  });

  test("none has the score that is asked for: that is said, with what to lower", async () => {
    const offers = [known(1), known(2)];
    const scores = { [peer(1)]: 0.4 };
    assert.deepEqual(
      (await find(offers, { minScore: 0.4 }, scores).found).map((exit) => exit.peer),
      [peer(1)],
    );
    await assert.rejects(find(offers, { minScore: 0.5 }, scores).found, (error) => {
      assert.ok(code("NO_MATCHING_EXIT")(error));
      return /--min-score/.test((error as { hint: string }).hint);
    });
  });
});

describe("node/finding: evidence for countries", (test) => {
  const states = { [peer(1)]: "refuted", [peer(2)]: "database" } as const;
  const peers = async (options: Partial<FindOptions>) => (await find([known(1)], options, {}, states).found).map((exit) => exit.peer);
  const why = async (options: Partial<FindOptions>, offers = [known(1)]) => {
    const error = await find(offers, options, { [peer(1)]: -1, [peer(2)]: -1 }, states).found.then(
      () => undefined,
      (reason: { code: string; message: string; hint: string }) => reason,
    );
    assert.equal(error?.code, "NO_MATCHING_EXIT");
    return `${error?.message}: ${error?.hint}`;
  };

  test("who asks for a country asks for no exit that is refuted; who asks for none, or names one, does not mind", async () => {
    const { asked, found } = find([known(1)], { country: "US" });
    await found;
    assert.equal(asked[0]?.evidence, "claimed");
    const { asked: anywhere, found: any } = find([known(1)]);
    await any;
    assert.equal(anywhere[0]?.evidence, undefined);
    assert.deepEqual(await peers({ country: "US", peer: peer(1) }), [peer(1)]);
  });

  test("one that is named has to have the evidence that is asked for", async () => {
    await assert.rejects(peers({ peer: peer(1), evidence: "claimed" }), code("NO_MATCHING_EXIT"));
    assert.equal((await find([known(2)], { peer: peer(2), evidence: "database" }, {}, states).found).length, 1);
    await assert.rejects(find([known(2)], { peer: peer(2), evidence: "latency" }, {}, states).found, code("NO_MATCHING_EXIT"));
  });

  test("what is missing is said, with what to do about it", async () => {
    assert.match(await why({ country: "US" }), /not in the country that it claims.*another --country/);
    assert.match(await why({ evidence: "database" }), /less evidence for its country than 'database'.*--geoip-db/);
    assert.match(await why({ evidence: "latency" }, [known(1), known(2)]), /each of the 2 exits.*'latency'.*--here/);
    assert.match(await why({ evidence: "database" }, [known(1), known(2)]), /scores less/);
  });
});

describe("node/listing: which exits are shown", (test) => {
  const exits = [1, 2, 3].flatMap((number) => exitViews(known(number)));
  const [a, b, c] = exits as [ExitView, ExitView, ExitView];

  test("by price as they come, by score and by latency, what is not known last", () => {
    const all = [
      { ...a, score: 0.1 },
      { ...b, score: 0.9, rttMs: 90 },
      { ...c, rttMs: 10 },
    ];
    const order = (by?: Parameters<typeof sorted>[1]) => sorted(all, by).map((exit) => exit.peer);
    assert.deepEqual(order(), [a.peer, b.peer, c.peer]);
    assert.deepEqual(order("score"), [b.peer, a.peer, c.peer]);
    assert.deepEqual(order("latency"), [c.peer, b.peer, a.peer]);
  });

  test("only those with the score that is asked for, then only so many", async () => {
    const online = {
      discovery: { offers: () => [1, 2, 3].map((number) => known(number)), search: async () => [] },
      judging: { shown: async (shown: ExitView[]) => shown.map((exit, index) => ({ ...exit, score: index / 2 })) },
    };
    const shown = async (query: object) => (await listExits(online, query, new AbortController().signal)).map(({ score }) => score);
    assert.deepEqual(await shown({}), [0, 0.5, 1]);
    assert.deepEqual(await shown({ minScore: 0.5, sort: "score" }), [1, 0.5]);
    assert.deepEqual(await shown({ minScore: 0.5, sort: "score", limit: 1 }), [1]);
    assert.deepEqual(await shown({ evidence: "claimed" }), [0, 0.5, 1]);
    assert.deepEqual(await shown({ evidence: "database" }), []);
    assert.deepEqual(await listExits(undefined, {}, new AbortController().signal), []);
  });
});
