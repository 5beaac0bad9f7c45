import assert from "node:assert/strict";
import { type Announcers, everybody, type Standing } from "../../../src/discovery/announcers.ts";
import { listenToGossip, offerValidator } from "../../../src/discovery/by-gossip.ts";
import { openCatalogue } from "../../../src/discovery/catalogue.ts";
import { createIntake } from "../../../src/discovery/intake.ts";
import { encodeOffer, type Offer } from "../../../src/discovery/offer.ts";
import { offersTopic, wantedBytes, wantedTopic } from "../../../src/discovery/protocol.ts";
import type { Identity } from "../../../src/identity/identity.ts";
import type { Topic } from "../../../src/network/network.ts";
import { describe } from "../../support/harness.ts";
import { createVirtualClock } from "../../support/simulation/clock.ts";
import { fakeClock, identity, market, memoryStore, signedBy, startMs } from "./offers.ts";

const [alice, bob] = [identity(1), identity(2)] as const;
const validator = async (announcers: Announcers = everybody) => {
  const clock = fakeClock();
  const catalogue = await openCatalogue({ store: memoryStore(), clock, network: market, announcers });
  const heard: string[] = [];
  const intake = createIntake({
    ...{ catalogue, announcers, clock, self: "me", isRetired: () => false },
    onOffer: ({ offer }, source) => heard.push(`${offer.peer} ${source}`),
  });
  return { clock, catalogue, heard, validate: offerValidator({ catalogue, announcers, intake, clock }) };
};
const bytesOf = (owner: Identity, change: Partial<Offer> = {}, network = market) => encodeOffer(signedBy(owner, change, network));

describe("discovery/by-gossip: what to do with an offer", (test) => {
  test("good and new: accepted, held and told; again: passed on, not told", async () => {
    const { validate, heard, catalogue } = await validator();
    assert.equal(await validate(bytesOf(alice)), "accept");
    assert.equal(await validate(bytesOf(alice)), "accept");
    assert.deepEqual(heard, [`${alice.peerId} gossip`]);
    assert.equal(catalogue.all().length, 1);
  });

  test("no offer, a false signature, another network's: rejected, at the sender's cost", async () => {
    const { validate, catalogue } = await validator();
    assert.equal(await validate(Uint8Array.of(1, 2, 3)), "reject");
    assert.equal(await validate(encodeOffer({ ...signedBy(alice), signature: signedBy(bob).signature })), "reject");
    assert.equal(await validate(bytesOf(alice, {}, { ...market, chainId: 1 })), "reject");
    assert.equal(catalogue.all().length, 0);
  });

  test("late, early, overtaken: ignored, since an honest neighbour may pass it on", async () => {
    const { validate } = await validator();
    assert.equal(await validate(bytesOf(alice, { expiresMs: startMs })), "ignore");
    assert.equal(await validate(bytesOf(alice, { expiresMs: startMs + 3_600_000 })), "ignore");
    assert.equal(await validate(bytesOf(alice, { seq: 10n })), "accept");
    assert.equal(await validate(bytesOf(alice, { seq: 9n })), "ignore");
    // the same content with a signature that is not checked any more must not be passed on either
    assert.equal(await validate(encodeOffer({ ...signedBy(alice, { seq: 10n }), signature: signedBy(bob).signature })), "ignore");
  });

  test("an exit that says too much is ignored until a while has passed; others are heard", async () => {
    const { validate, clock } = await validator();
    const verdicts: string[] = [];
    for (let seq = 1; seq <= 20; seq++) verdicts.push(await validate(bytesOf(alice, { seq: BigInt(seq) })));
    const heard = verdicts.filter((verdict) => verdict === "accept").length;
    assert.ok(heard >= 4 && heard < 20, `${heard} of 20`);
    assert.equal(verdicts.at(-1), "ignore");
    assert.equal(await validate(bytesOf(bob)), "accept");
    clock.pass(10_000);
    assert.equal(await validate(bytesOf(alice, { seq: 100n })), "accept");
  });

  test("without a bond: ignored, and forgotten; before the chain has answered: kept here, and not passed on", async () => {
    const standings = new Map<string, Standing>();
    const asked: string[] = [];
    const announcers: Announcers = {
      ...everybody,
      standing: (address) => standings.get(address) ?? "unknown",
      check: async ([address]) => {
        asked.push(String(address));
        if (address === bob.address) standings.set(address, "bonded");
      },
    };
    const { validate, catalogue } = await validator(announcers);
    assert.equal(await validate(bytesOf(alice)), "ignore");
    assert.equal(await validate(bytesOf(bob)), "accept");
    assert.equal(catalogue.all().length, 2);
    assert.equal(await validate(bytesOf(alice)), "ignore", "the same again");
    assert.equal(await validate(bytesOf(bob)), "accept", "the same again");
    standings.set(alice.address, "unbonded");
    assert.equal(await validate(bytesOf(alice, { seq: BigInt(startMs + 1) })), "ignore");
    assert.deepEqual(
      catalogue.all().map(({ offer }) => offer.peer),
      [bob.peerId],
    );
    assert.equal(await validate(encodeOffer({ ...signedBy(identity(3)), signature: signedBy(bob).signature })), "reject");
    assert.deepEqual(asked, [alice.address, bob.address], "the chain is asked once the signature is right, and not again");
  });

  test("nobody can use up another's rate with forgeries", async () => {
    const { validate } = await validator();
    for (let seq = 1; seq <= 50; seq++)
      assert.equal(await validate(encodeOffer({ ...signedBy(alice, { seq: BigInt(seq) }), signature: signedBy(bob).signature })), "reject");
    assert.equal(await validate(bytesOf(alice)), "accept");
  });
});

describe("discovery/by-gossip: who asks and who answers", (test) => {
  const listen = async (neighbours: number, patienceMs = 0) => {
    const clock = createVirtualClock(startMs);
    const catalogue = await openCatalogue({ store: memoryStore(), clock, network: market, announcers: everybody });
    const intake = createIntake({ catalogue, announcers: everybody, clock, self: "me", isRetired: () => false, onOffer: () => undefined });
    const topics = new Map<string, Topic<unknown>>();
    const subscribers = new Map<string, (peer: string) => void>();
    const published: { topic: string; bytes: Uint8Array }[] = [];
    let reach = neighbours;
    const requests = { whoever: 0, unheard: 0 };
    const network = {
      subscribe: async <T>(topic: Topic<T>) => void topics.set(topic.name, topic as Topic<unknown>),
      publish: async (topic: string, bytes: Uint8Array) => {
        if (reach > 0) published.push({ topic, bytes });
        return reach;
      },
      onSubscriber: (topic: string, listener: (peer: string) => void) => {
        subscribers.set(topic, listener);
        return () => undefined;
      },
    };
    const { solicit } = await listenToGossip({
      ...{ network, clock, catalogue, announcers: everybody, intake },
      own: { request: () => void requests.whoever++, unheard: () => void requests.unheard++ },
      ...{ patienceMs, stopped: new AbortController().signal },
    });
    const say = async (topic: string, bytes: Uint8Array) => {
      const { validity, value } = (await topics.get(topic)?.validate(bytes, "them")) ?? {};
      if (validity === "accept" && value !== undefined) topics.get(topic)?.onMessage(value, "them");
      return validity;
    };
    return {
      clock,
      catalogue,
      published,
      solicit,
      say,
      requests,
      reaches: (count: number) => {
        reach = count;
      },
      joins: (topic: string) => subscribers.get(topic)?.("them"),
    };
  };

  test("with nothing known, the first neighbour is asked; with something, it is not", async () => {
    const empty = await listen(1);
    empty.joins(wantedTopic);
    assert.deepEqual(
      empty.published.map(({ topic, bytes }) => [topic, bytes.length]),
      [[wantedTopic, wantedBytes]],
    );
    const stocked = await listen(1);
    stocked.catalogue.add(signedBy(alice), "dht");
    stocked.joins(wantedTopic);
    assert.deepEqual(stocked.published, []);
  });

  test("where others are asked, too, these have their time; who has heard of somebody by then asks nobody", async () => {
    const [empty, told] = [await listen(1, 1_000), await listen(1, 1_000)];
    for (const { joins } of [empty, told]) joins(wantedTopic);
    await empty.clock.pass(999);
    assert.equal(empty.published.length, 0);
    await empty.clock.pass(1);
    assert.deepEqual(
      empty.published.map(({ topic }) => topic),
      [wantedTopic],
    );
    await told.clock.pass(500);
    told.catalogue.add(signedBy(alice), "dht");
    await told.clock.pass(10_000);
    assert.deepEqual(told.published, []);
  });

  test("asking has a rate, which tries that reach nobody do not use up", async () => {
    const { solicit, published, reaches, clock } = await listen(0);
    for (let count = 0; count < 50; count++) await solicit();
    reaches(3);
    for (let count = 0; count < 50; count++) await solicit();
    assert.ok(published.length >= 3 && published.length < 10, `asked ${published.length} times`);
    const before = published.length;
    await clock.pass(5000);
    await solicit();
    assert.equal(published.length, before + 1);
    assert.equal(new Set(published.map(({ bytes }) => String(bytes))).size, published.length);
  });

  test("whoever asks makes us announce what we sell; whoever begins to listen only where nobody has heard it", async () => {
    const { say, joins, requests } = await listen(1);
    assert.equal(await say(wantedTopic, new Uint8Array(wantedBytes)), "accept");
    assert.deepEqual(requests, { whoever: 1, unheard: 0 });
    joins(offersTopic);
    assert.deepEqual(requests, { whoever: 1, unheard: 1 });
    assert.equal(await say(wantedTopic, new Uint8Array(wantedBytes - 1)), "reject");
    assert.deepEqual(requests, { whoever: 1, unheard: 1 });
  });
});
