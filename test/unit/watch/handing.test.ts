import assert from "node:assert/strict";
import { silentLogger } from "../../../src/lib/ports.ts";
import { checkSigner } from "../../../src/payments/check.ts";
import { channelId } from "../../../src/payments/promise.ts";
import { openProviderLedger } from "../../../src/payments/provider-ledger.ts";
import { openHanded } from "../../../src/watch/handed.ts";
import { startHanding } from "../../../src/watch/handing.ts";
import type { WatchOffer } from "../../../src/watch/handing-policy.ts";
import { type HandedCheck, type HandedOutcome, watchAnswerCodec, watchQuestionCodec } from "../../../src/watch/protocol.ts";
import { describe } from "../../support/harness.ts";
import { account, domain, memoryStore, nowMs } from "../payments/fixtures.ts";
import { dayMs, fakeContract, handed as handedCheck, hourMs, payerOf, providerIdentity, turns, virtualClock, wire } from "./rig.ts";

const provider = providerIdentity;
const offer = (n: number, feeBps = 200): WatchOffer => ({ peer: `watcher${n}`, addresses: [`/ip4/10.0.${n}.1/tcp/1`], feeBps });

type Heard = HandedCheck & { peer: string; onDisk: boolean };

/** A provider with a ledger and a network of watchers that answer `outcomes` of theirs, "kept" unless told. */
async function setUp({ store = memoryStore(), offers = [offer(1), offer(2), offer(3)], maxFeeBps = 200, time = virtualClock() } = {}) {
  const { chain, state } = fakeContract();
  const net = wire();
  const heard: Heard[] = [];
  const outcomes = new Map<string, (check: HandedCheck) => HandedOutcome>();
  let looked = 0;
  const come = (peer: string) =>
    net.answerers.set(peer, async (question) => {
      const { checks } = watchQuestionCodec.decode(question);
      for (const check of checks) {
        const key = `handed/31337/${domain.contract}/${provider.address}/${check.signer}/${check.promise.channel}`;
        const record = Buffer.from(store.disk.get(key) ?? []);
        heard.push({
          ...check,
          peer,
          onDisk: [check.check, check.promise].every(({ signature }) => record.includes(Buffer.from(signature))),
        });
      }
      return watchAnswerCodec.encode({ outcomes: checks.map((check) => outcomes.get(peer)?.(check) ?? "kept") });
    });
  for (const { peer } of offers) come(peer);
  const ledger = await openProviderLedger({ store, self: provider.address, clock: time.clock }, domain);
  const handed = await openHanded(store, domain, provider.address);
  /** what a payer promises on a channel */
  const promise = async (cumulative: bigint, n = 0) => {
    const { signer, salt, promise: signed } = handedCheck({ payer: payerOf(n), cumulative });
    await ledger.rememberAccount(signer, account({ readAtMs: time.clock.nowMs() }));
    const said = { signer, peer: payerOf(n).peerId, salt, promise: signed, consumed: 0n };
    const taken = await ledger.accept(said, { chainReachable: false, limits: { maxUnsettled: 10n ** 9n, minBond: 0n } });
    assert.ok(taken.accepted, JSON.stringify(taken));
  };
  const handing = startHanding(
    {
      ...{ network: net.asking(provider.peerId), ledger, chain, identity: provider, domain, handed, clock: time.clock, log: silentLogger },
      offers: () => offers,
      look: async () => {
        looked += 1;
      },
    },
    { maxFeeBps, random: () => 0 },
  );
  await turns();
  const ref = (n = 0) => ({ signer: payerOf(n).address, channel: channelId(provider.address, new Uint8Array(12).fill(3)) });
  const watched = (n = 0) => {
    const channel = ledger.channel(ref(n));
    return channel && handed.watched(channel, time.clock.nowMs());
  };
  return { ...time, store, state, net, heard, outcomes, come, ledger, handing, promise, watched, ref, offers, looked: () => looked };
}

describe("watch/handing: a provider hands its checks out", (test) => {
  test("to three, each with its place, its fee and a check of ours; promise and check are on disk before", async () => {
    const offers = [offer(1, 150), offer(2), offer(3, 100), offer(4, 201)];
    const one = await setUp({ offers });
    await one.promise(1_000n);
    await one.handing.now();
    assert.deepEqual(
      one.heard.map(({ peer, place, check, onDisk }) => [peer, place, check.feeBps, onDisk]),
      [
        ["watcher1", 0, 150, true],
        ["watcher2", 1, 200, true],
        ["watcher3", 2, 100, true],
      ],
    );
    for (const { promise, check } of one.heard) {
      assert.equal(checkSigner(domain, promise, check), provider.address);
      assert.deepEqual([check.to, promise.cumulative], [provider.address, 1_000n]);
    }
    assert.deepEqual(one.watched(), {
      ...{ amount: 1_000n, by: ["watcher1", "watcher2", "watcher3"] },
      untilMs: nowMs + 30 * dayMs,
    });
    await one.handing.stop();
  });

  test("what cannot be written down is not handed out", async () => {
    let full = false;
    const store = memoryStore(new Map(), () => (full ? "lost" : "done"));
    const one = await setUp({ store });
    await one.promise(1_000n);
    full = true;
    await one.handing.now();
    assert.deepEqual(one.heard, []);
    full = false;
    await one.handing.now();
    assert.equal(one.heard.length, 3);
    await one.handing.stop();
  });

  test("nothing is handed out for what is not worth it, twice, or when all is cleared", async () => {
    const one = await setUp();
    one.state.costs = { first: 20n, next: 10n };
    await one.promise(999n);
    await one.handing.now();
    assert.equal(one.heard.length, 0);
    await one.promise(1_000n);
    await one.handing.now();
    await one.handing.now();
    assert.equal(one.heard.length, 3);
    await one.promise(1_999n);
    await one.handing.now();
    assert.equal(one.heard.length, 3);
    await one.promise(2_000n);
    await one.handing.now();
    assert.equal(one.heard.length, 6);
    await one.ledger.settled(one.ref(), 2_000n);
    assert.equal(one.watched(), undefined);
    await one.pass(20 * dayMs);
    assert.equal(one.heard.length, 6);
    assert.deepEqual(
      [...one.store.disk.keys()].filter((key) => key.startsWith("handed/")),
      [],
    );
    await one.handing.stop();
  });

  test("by itself, each minute; renewed when half of its life is over, so that it never ends while the provider is here", async () => {
    const one = await setUp();
    await one.promise(1_000n);
    await one.pass(73_000);
    assert.equal(one.heard.length, 3);
    const ends: number[] = [];
    for (let day = 0; day < 100; day += 1) {
      await one.pass(dayMs);
      ends.push((one.watched()?.untilMs ?? 0) - one.clock.nowMs());
    }
    assert.ok(Math.min(...ends) >= 13 * dayMs, `${Math.min(...ends) / dayMs} days left`);
    assert.ok(one.heard.length <= 3 * (1 + 7), `${one.heard.length} checks in 100 days`);
    await one.handing.stop();
  });

  test("after a restart it goes on with the watchers it has, and hands nothing out twice", async () => {
    const store = memoryStore();
    const one = await setUp({ store });
    await one.promise(1_000n);
    await one.handing.now();
    await one.handing.stop();
    const again = await setUp({ store, offers: [offer(9), offer(1), offer(2), offer(3)] });
    assert.equal(again.watched()?.by.length, 3);
    assert.deepEqual(again.heard, []);
    await again.promise(2_000n);
    await again.handing.now();
    assert.deepEqual(again.heard.map(({ peer }) => peer).sort(), ["watcher1", "watcher2", "watcher3"]);
    await again.handing.stop();
  });

  test("a check whose answer was lost is sent again to the letter", async () => {
    const one = await setUp({ offers: [offer(1)] });
    const answer = one.net.answerers.get("watcher1") as (question: Uint8Array, from: string) => Promise<Uint8Array>;
    let loses = true;
    one.net.answerers.set("watcher1", async (question, from) => {
      const answered = await answer(question, from);
      if (loses) throw new Error("the line is cut");
      return answered;
    });
    await one.promise(1_000n);
    await one.handing.now();
    assert.equal(one.watched(), undefined);
    loses = false;
    await one.pass(3 * 60_000);
    assert.equal(one.heard.length, 2);
    assert.deepEqual(one.heard[0]?.check, one.heard[1]?.check);
    assert.equal(one.watched()?.amount, 1_000n);
    await one.handing.stop();
  });

  test("one that takes nothing, or is not reached, loses its place after some tries; who comes in for it is handed all", async () => {
    for (const trouble of ["full", "gone"] as const) {
      const offers = [offer(1), offer(2), offer(3), offer(4)];
      const one = await setUp({ offers });
      if (trouble === "gone") one.net.answerers.delete("watcher1");
      else one.outcomes.set("watcher1", () => "full");
      await one.promise(1_000n);
      await one.handing.now();
      assert.deepEqual(one.watched()?.by, ["watcher2", "watcher3"]);
      for (let i = 0; i < 50; i += 1) await one.pass(2 * 60_000);
      assert.deepEqual(one.watched()?.by, ["watcher2", "watcher3", "watcher4"]);
      assert.equal(one.heard.find(({ peer }) => peer === "watcher4")?.place, 0);
      await one.handing.stop();
    }
  });

  test("one whose offer is not heard any more loses its place after an hour; what it holds is shown while it is good", async () => {
    const offers = [offer(1), offer(2), offer(3)];
    const one = await setUp({ offers });
    await one.promise(1_000n);
    await one.handing.now();
    offers.splice(0, 1, offer(4));
    one.come("watcher4");
    await one.pass(30 * 60_000);
    assert.equal(one.watched()?.by.includes("watcher4"), false);
    await one.pass(31 * 60_000);
    await one.pass(2 * 60_000);
    assert.deepEqual(one.watched()?.by, ["watcher1", "watcher2", "watcher3", "watcher4"]);
    await one.handing.stop();
  });

  test("only what a watcher has acknowledged counts as watched; a liar's answer of another length counts for nothing", async () => {
    const one = await setUp({ offers: [offer(1), offer(2)] });
    one.outcomes.set("watcher2", () => "account");
    one.net.answerers.set("watcher1", async () => watchAnswerCodec.encode({ outcomes: ["kept", "kept"] }));
    await one.promise(1_000n);
    await one.handing.now();
    assert.equal(one.watched(), undefined);
    one.net.answerers.set("watcher1", async () => new Uint8Array(600));
    await one.pass(3 * 60_000);
    assert.equal(one.watched(), undefined);
    await one.handing.stop();
  });

  test("many channels go in questions of 16, those owed most first; one that is refused is not shown again at once", async () => {
    const one = await setUp({ offers: [offer(1)] });
    for (let n = 0; n < 40; n += 1) await one.promise(1_000n + BigInt(n), n);
    one.outcomes.set("watcher1", ({ promise }) => (promise.cumulative === 1_000n ? "account" : "kept"));
    await one.handing.now();
    assert.deepEqual(
      one.heard.map(({ promise }) => promise.cumulative),
      Array.from({ length: 40 }, (_, n) => 1_039n - BigInt(n)),
    );
    assert.equal(one.net.asked.length, 3);
    await one.handing.now();
    assert.equal(one.net.asked.length, 3);
    await one.pass(11 * 60_000);
    assert.deepEqual(one.heard.at(-1)?.promise.cumulative, 1_000n);
    assert.equal(one.heard.length, 41);
    await one.handing.stop();
  });

  test("whoever finds no watcher looks for some at once, and then now and then; never while nothing is owed", async () => {
    const one = await setUp({ offers: [] });
    await one.pass(2 * 60_000);
    assert.equal(one.looked(), 0);
    await one.promise(1_000n);
    for (let i = 0; i < 60; i += 1) await one.pass(2 * 60_000);
    assert.ok(one.looked() >= 3 && one.looked() <= 5, `${one.looked()} in two hours`);
    one.offers.push(offer(1));
    one.come("watcher1");
    await one.pass(2 * 60_000);
    assert.equal(one.watched()?.amount, 1_000n);
    await one.handing.stop();
  });

  test("no fee above what the operator allows is ever signed, also when an offer changes", async () => {
    const offers = [offer(1)];
    const one = await setUp({ offers, maxFeeBps: 250 });
    await one.promise(1_000n);
    await one.handing.now();
    offers.splice(0, 1, offer(1, 300));
    await one.promise(2_000n);
    await one.pass(2 * hourMs);
    assert.deepEqual(
      one.heard.map(({ check }) => check.feeBps),
      [200],
    );
    offers.splice(0, 1, offer(1, 250));
    await one.pass(2 * 60_000);
    assert.deepEqual(
      one.heard.map(({ check }) => check.feeBps),
      [200, 250],
    );
    await one.handing.stop();
  });
});
