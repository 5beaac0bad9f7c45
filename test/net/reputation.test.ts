import assert from "node:assert/strict";
import type { Identity } from "../../src/identity/identity.ts";
import { systemClock } from "../../src/lib/clock.ts";
import type { Hex } from "../../src/lib/codec.ts";
import { silentLogger } from "../../src/lib/ports.ts";
import { channelId } from "../../src/payments/promise.ts";
import { epochOf } from "../../src/reputation/epoch.ts";
import { recordsTopic } from "../../src/reputation/exchange.ts";
import { encodePair, type PairRecord, signPair } from "../../src/reputation/record.ts";
import { createReputation, type Reputation } from "../../src/reputation/reputation.ts";
import { describe } from "../support/harness.ts";
import { alice, bob, carol, exit, identity, market, saltOf } from "../unit/reputation/fixtures.ts";
import { isConnected, soon, startPeer, type TestPeer, until } from "./support.ts";

const timeoutMs = 90_000;
const [shared, praised] = [exit(1), exit(2)];
const dave = identity(9);
type Judge = TestPeer & { reputation: Reputation };

/** Everybody has read the same chain: Alice and Bob have each paid both exits, Carol has paid the first. */
const cleared: [payer: Hex, provider: Hex, paid: bigint][] = [
  [alice.address, shared, 100n],
  [alice.address, praised, 100n],
  [bob.address, shared, 300n],
  [bob.address, praised, 300n],
  [carol.address, shared, 50n],
];

async function startJudge(who: Identity, bootstrap: string[], mine: Hex[], share = true): Promise<Judge> {
  const peer = await startPeer({ identity: who, bootstrap, dht: false });
  const reputation = await createReputation(
    {
      ...{ network: peer.network, identity: who, store: peer.store, clock: systemClock, log: silentLogger, channelOf: channelId },
      networkConfig: { ...market, minBond: 1n },
      channels: () => mine.map((provider) => ({ provider, salt: saltOf(1), channel: channelId(provider, saltOf(1)) })),
      exits: () => [shared, praised],
    },
    { share, delayMs: () => 1, tellEveryMs: 100, pullEveryMs: 3_600_000 },
  );
  const events = cleared.map(([signer, provider, paid], logIndex) => {
    return { type: "cleared", signer, channel: channelId(provider, saltOf(1)), paid, block: 1, logIndex, timeMs: Date.now() } as const;
  });
  await peer.store.write(await reputation.apply({ rolledBackTo: undefined, events }));
  const close = async () => {
    await reputation.stop();
    await peer[Symbol.asyncDispose]();
  };
  return { ...peer, reputation, [Symbol.asyncDispose]: close };
}

const scoreOf = async ({ reputation }: Judge, provider: Hex) => (await reputation.explain(provider)).score;
const ratersOf = async ({ reputation }: Judge, provider: Hex) => (await reputation.explain(provider)).raters;
const well = (provider: Hex, failed = false) => ({ provider, endedMs: Date.now(), failed, flags: 0, rttMs: 30, mbps: 50 });

describe("reputation: over real streams", (test) => {
  test(
    "what payers have seen reaches those who paid the same exit, and no more than is backed; two stories are none",
    async () => {
      await using boot = await startJudge(dave, [], []);
      const bootstrap = boot.network.addresses();
      await using first = await startJudge(alice, bootstrap, [shared, praised]);
      await using second = await startJudge(bob, bootstrap, [shared, praised]);
      await using observer = await startJudge(carol, bootstrap, [shared]);
      for (const judge of [first, second, observer]) await until("it is connected", () => isConnected(judge, boot));

      assert.equal(await scoreOf(observer, praised), 0);
      for (const judge of [first, second]) for (const provider of [shared, praised]) await judge.reputation.note(well(provider));
      await until("both are heard", async () => (await ratersOf(observer, praised)) === 2);
      await until("and weigh", async () => (await scoreOf(observer, praised)) > 0.3);
      const told = await observer.reputation.explain(praised);
      assert.deepEqual(
        told.coPayers.map(({ payer, via, settled, ok }) => [payer, via, Math.round(settled) > 0, ok > 0]),
        [
          [bob.address, [shared], true, true],
          [alice.address, [shared], true, true],
        ],
      );
      assert.deepEqual([told.rttMs, told.mbps, told.own.sessions], [30, 50, 0]);
      // who has paid none of these exits holds the same records, and they are nothing to it
      await until("all hold them", async () => (await ratersOf(boot, praised)) === 2);
      assert.equal(await scoreOf(boot, praised), 0);

      // one who comes late asks
      await using late = await startJudge(identity(10), bootstrap, [shared], false);
      await until("it is connected", () => isConnected(late, boot));
      assert.equal(await ratersOf(late, praised), 0);
      await late.reputation.ask([praised], soon());
      assert.equal(await ratersOf(late, praised), 2);

      // more than was cleared, and words in another's name, go nowhere; two contents under one number take the first back everywhere
      const story = (change: Partial<PairRecord>, by = alice) =>
        encodePair(
          signPair(by, market, {
            ...{ payer: alice.address, provider: praised, epoch: epochOf(Date.now()), seq: Date.now(), settled: 100n, salts: [saltOf(1)] },
            ...{ sessions: 9, fails: 9, flags: 0, ...change },
          }),
        );
      const seq = Date.now() + 1_000;
      await boot.network.publish(recordsTopic, story({ settled: 101n, seq }));
      await first.network.publish(recordsTopic, story({ seq }));
      await until("the slander is heard", async () => (await observer.reputation.explain(praised)).coPayers.some(({ fail }) => fail > 5));
      await second.network.publish(recordsTopic, story({ seq, fails: 0 }));
      for (const judge of [boot, observer]) await until("one rater is left", async () => (await ratersOf(judge, praised)) === 1);
    },
    { timeoutMs },
  );
});
