import assert from "node:assert/strict";
import { encode } from "cborg";
import { systemClock } from "../../../src/lib/clock.ts";
import type { Hex } from "../../../src/lib/codec.ts";
import { silentLogger } from "../../../src/lib/ports.ts";
import type { Topic } from "../../../src/network/network.ts";
import { answerCodec, createExchange, forksTopic, maxAnswerBytes, questionCodec, recordsTopic } from "../../../src/reputation/exchange.ts";
import type { HeldRecord } from "../../../src/reputation/ledger.ts";
import { encodePair, maxForkBytes, maxPairBytes, type SignedPair } from "../../../src/reputation/record.ts";
import { describe } from "../../support/harness.ts";
import { alice, exit, fakeClock, identity, saltOf, signedBy } from "./fixtures.ts";

type Given = {
  records?: Record<Hex, SignedPair[]>;
  exits?: Hex[];
  due?: SignedPair[];
  share?: boolean;
  answer?: Uint8Array;
  reach?: number;
};

/** An exchange whose network is functions. */
async function node({
  records = {},
  exits = [],
  due = [],
  share = true,
  answer = answerCodec.encode({ records: [] }),
  reach = 1,
}: Given = {}) {
  const topics = new Map<string, Topic<never>>();
  const asked: { peer: string; providers: Hex[] }[] = [];
  const published: { topic: string; bytes: Uint8Array }[] = [];
  const taken: { bytes: Uint8Array; asked: boolean }[] = [];
  let sent = 0;
  const count = () => {
    sent += 1;
  };
  let answerer: (question: Uint8Array, from: string) => Promise<Uint8Array> = async () => new Uint8Array();
  const clock = { ...systemClock, nowMs: fakeClock().nowMs };
  const exchange = await createExchange(
    {
      network: {
        subscribe: async (topic) => void topics.set(topic.name, topic as unknown as Topic<never>),
        publish: async (topic, bytes) => {
          published.push({ topic, bytes });
          return reach;
        },
        ask: async (peer, _, question) => {
          asked.push({ peer, providers: questionCodec.decode(question).providers });
          return answer;
        },
        answer: async (_, __, handler) => {
          answerer = handler;
        },
        peers: () => ["one", "two", "three"].map((peer) => ({ peer, addresses: [], direction: "outbound" as const })),
        onSubscriber: () => () => undefined,
      },
      ledger: { records: (provider) => (records[provider] ?? []).map((signed) => ({ envelope: encodePair(signed) }) as HeldRecord) },
      intake: {
        record: async (bytes, wasAsked = false) => {
          taken.push({ bytes, asked: wasAsked });
          return "accept";
        },
        fork: async () => "reject",
      },
      own: {
        due: async () => due.splice(0).map((signed) => ({ signed, sent: async () => count() })),
      },
      ...{ clock, log: silentLogger, exits: () => exits, random: Math.random },
    },
    { share, everyMs: 5 },
  );
  return {
    exchange,
    topics,
    asked,
    published,
    taken,
    sent: () => sent,
    ask: (bytes: Uint8Array, from = "me") => answerer(bytes, from),
    [Symbol.asyncDispose]: exchange.stop,
  };
}
const soon = () => AbortSignal.timeout(5_000);
const question = (...providers: Hex[]) => questionCodec.encode({ providers });

describe("reputation/exchange", (test) => {
  test("gossip is bounded by topic, and judged by the intake", async () => {
    await using it = await node();
    const [records, forks] = [it.topics.get(recordsTopic), it.topics.get(forksTopic)];
    assert.deepEqual([records?.maxBytes, forks?.maxBytes], [maxPairBytes, maxForkBytes]);
    assert.ok(records?.quota && forks?.quota);
    assert.deepEqual(await records.validate(encodePair(signedBy(alice)), "x"), { validity: "accept" });
    assert.deepEqual(await forks.validate(Uint8Array.of(1), "x"), { validity: "reject" });
    assert.equal(it.taken[0]?.asked, false);
  });

  test("an answer has the records of the exits that were asked for, as many as fit", async () => {
    const many = Array.from({ length: 40 }, (_, payer) => identity(payer + 1)).flatMap((payer) =>
      Array.from({ length: 25 }, (_, back) => signedBy(payer, { epoch: 2_900 + back, salts: [1, 2, 3, 4, 5, 6, 7, 8].map(saltOf) })),
    );
    await using it = await node({ records: { [exit(1)]: [signedBy(alice)], [exit(2)]: many } });
    const answer = async (...providers: Hex[]) =>
      answerCodec.decode(await it.ask(question(...providers))).records.map((one) => Uint8Array.from(one));
    assert.deepEqual(await answer(exit(1), exit(3)), [Uint8Array.from(encodePair(signedBy(alice)))]);
    const bytes = await it.ask(question(exit(2)));
    assert.ok(bytes.length <= maxAnswerBytes && bytes.length > maxAnswerBytes / 2, `${bytes.length} bytes`);
  });

  test("who asks too often is refused, others are answered; what is no question is none", async () => {
    await using it = await node();
    for (let times = 0; times < 6; times += 1) await it.ask(question(exit(1)));
    await assert.rejects(it.ask(question(exit(1))));
    await it.ask(question(exit(1)), "another");
    await assert.rejects(it.ask(Uint8Array.of(0), "third"));
    await assert.rejects(it.ask(encode({ providers: Array.from({ length: 17 }, () => new Uint8Array(20)) }), "third"));
  });

  test("what we want to know is asked for among as much that we do not, of two peers", async () => {
    const exits = Array.from({ length: 60 }, (_, number) => exit(100 + number));
    await using it = await node({ exits, answer: answerCodec.encode({ records: [encodePair(signedBy(alice))] }) });
    await it.exchange.pull([exit(1), exit(2)], soon());
    assert.equal(it.asked.length, 2);
    for (const { providers } of it.asked) {
      assert.ok(providers.includes(exit(1)) && providers.includes(exit(2)));
      assert.ok(providers.filter((provider) => exits.includes(provider)).length >= 2);
    }
    assert.deepEqual(
      it.taken.map(({ asked }) => asked),
      [true, true],
    );
    // more than fit: half of them, the rest another time
    await it.exchange.pull(
      Array.from({ length: 30 }, (_, number) => exit(number)),
      soon(),
    );
    assert.equal(it.asked[2]?.providers.length, 16);
    assert.equal(it.asked[2]?.providers.filter((provider) => exits.includes(provider)).length, 8);
  });

  test("an answer that is none costs nothing but the asking; with nothing to ask nobody is asked", async () => {
    await using it = await node({ answer: Uint8Array.of(1, 2) });
    await it.exchange.pull([exit(1)], soon());
    await it.exchange.pull([], soon());
    assert.equal(it.asked.length, 2);
    assert.deepEqual(it.taken, []);
  });

  test("what is due is told and held like others' records; not marked as sent while nobody hears it, and not at all without leave", async () => {
    const told = async (given: Given) => {
      await using it = await node({ due: [signedBy(alice)], ...given });
      await new Promise((resolve) => setTimeout(resolve, 60));
      return [it.published.map(({ topic }) => topic), it.sent(), it.taken.length];
    };
    assert.deepEqual(await told({}), [[recordsTopic], 1, 1]);
    assert.deepEqual(await told({ reach: 0 }), [[recordsTopic], 0, 0]);
    assert.deepEqual(await told({ share: false }), [[], 0, 0]);
  });
});
