import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Databases, noDatabases } from "../../src/country/databases.ts";
import type { KnownOffer, OfferQuery } from "../../src/discovery/discovery.ts";
import { signOffer } from "../../src/discovery/offer.ts";
import { rank } from "../../src/discovery/rank.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { silentLogger } from "../../src/lib/ports.ts";
import { openStore } from "../../src/lib/store.ts";
import type { Network, PeerSummary } from "../../src/network/network.ts";
import { startJudging } from "../../src/node/judging.ts";
import { exitViews } from "../../src/node/views.ts";
import { channelId } from "../../src/payments/promise.ts";
import { describe } from "../support/harness.ts";
import { until } from "../support/until.ts";
import { offerOf } from "../unit/discovery/offers.ts";
import { fails, myst, type Person, promised, type Rig, startRig } from "./rig.ts";

const offering = (person: Person, address: string): KnownOffer => {
  const { identity } = person;
  const addresses = [`/ip4/${address}/tcp/4010/p2p/${identity.peerId}`];
  const network = { chainId: 31337, contract: `0x${"ab".repeat(20)}` as const };
  return { ...signOffer(identity, network, offerOf(identity, { addresses })), sources: ["gossip"] };
};

describe("node/judging: what a node thinks of exits, with a chain", (test, { before, after }) => {
  let rig: Rig;
  before(async () => {
    rig = await startRig();
  });
  after(async () => {
    await rig[Symbol.asyncDispose]();
  });

  test("own sessions, money that was cleared and stake make the score; it is used and explained", async () => {
    const directory = await mkdtemp(join(tmpdir(), "mystnode-judging-"));
    const store = await openStore(directory);
    const [payer, used, staked, unknown] = [
      await rig.person(20n * myst),
      await rig.person(),
      await rig.person(20n * myst),
      await rig.person(),
    ];
    await payer.chain.deposit(10n * myst, 2n * myst);
    await staked.chain.deposit(myst, 5n * myst);
    const claim = promised(rig.network, payer, used, myst / 10n);
    const { raw } = await used.chain.prepareSettle([claim], used.address);
    await used.chain.submit(raw, [claim], AbortSignal.timeout(20_000));

    const offers = [offering(used, "198.51.100.1"), offering(staked, "203.0.113.1"), offering(unknown, "203.0.113.2")];
    let peers: PeerSummary[] = [];
    const network = {
      ...{ subscribe: async () => undefined, publish: async () => 0, ask: async () => new Uint8Array(), answer: async () => undefined },
      peers: () => peers,
    } as unknown as Network;
    const channel = { provider: used.address, salt: claim.salt, channel: channelId(used.address, claim.salt) };
    const elsewhere: Databases = {
      ...noDatabases,
      locate: (address) => (address === "45.1.1.1" ? [{ database: "a.mmdb", address, country: "DE" }] : []),
    };
    const judging = await startJudging(
      {
        ...{
          network,
          store,
          clock: systemClock,
          log: silentLogger,
          chain: payer.chain,
          identity: payer.identity,
          databases: elsewhere,
          here: () => undefined,
        },
        discovery: {
          offers: (query: OfferQuery = {}) => rank(offers, query),
          handovers: { current: (peer) => peer, now: (address) => address, before: () => [] },
        },
        payer: { channels: () => [{ ...channel, peer: used.identity.peerId, cumulative: 0n, consumed: 0n, openedMs: 0 }] },
      },
      rig.network,
      {},
    );
    try {
      const [view] = exitViews(offers[0] as KnownOffer);
      assert.ok(view);
      // alone, it may be our own line that is down; then somebody else is there
      await judging.note(view, { failed: true, flags: 1 });
      peers = ["elsewhere", view.peer].map((peer) => ({ peer, addresses: [], direction: "outbound", rttMs: 12 }));
      for (let count = 0; count < 3; count += 1) await judging.note(view, { failed: false, flags: 0, rttMs: 99, mbps: 40 });

      const told = await judging.explain(view.peer);
      assert.deepEqual([told.own.sessions, told.own.fails, told.own.rttMs, told.mbps, told.rttMs], [3, 0, 12, 40, 12]);
      await until(async () => (await judging.explain(view.peer)).own.settled > 0n);
      await until(async () => (await judging.explain(staked.identity.peerId)).stake.bond === 5n * myst);
      const { rank: place, exits } = await judging.explain(view.peer);
      assert.deepEqual([place?.place, place?.of, exits.length], [1, 3, 1]);
      assert.ok((place?.chance ?? 0) > 0.9);

      const shown = await judging.shown(offers.flatMap(exitViews));
      assert.ok((shown[0]?.score ?? 0) > 0.3 && shown[2]?.score === 0);
      const query = { country: "US", service: "proxy" };
      assert.equal((await judging.choose(offers, query)).length, 3);
      assert.deepEqual(
        (await judging.choose(offers, query, { minScore: 0.3 })).map(({ offer }) => offer.peer),
        [view.peer],
      );
      assert.deepEqual(await judging.choose(offers, query, { minScore: 1 }), []);

      const refuted = offering(unknown, "45.1.1.1");
      assert.equal((await judging.shown(exitViews(refuted)))[0]?.evidence, "refuted");
      assert.equal(shown[0]?.evidence, "claimed");
      assert.equal((await judging.choose([...offers.slice(0, 2), refuted], query)).length, 3);
      assert.equal((await judging.choose([...offers.slice(0, 2), refuted], query, { evidence: "claimed" })).length, 2);
      assert.deepEqual(await judging.choose(offers, query, { evidence: "database" }), []);
      offers[2] = refuted;
      const why = await judging.explain(unknown.identity.peerId);
      assert.deepEqual([why.country?.refutedBy, why.country?.databases[0]?.country], ["databases", "DE"]);
      assert.equal(why.rank?.factors.country, 0.02);
      for (const peer of ["nobody", (await rig.person()).identity.peerId]) await fails(judging.explain(peer), "NO_MATCHING_EXIT");
    } finally {
      await judging.stop();
      await store.close();
      await rm(directory, { recursive: true });
    }
  });
});
