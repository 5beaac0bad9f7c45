import assert from "node:assert/strict";
import { channelId, newSalt, signPromise } from "../../../../src/payments/promise.ts";
import { gossipBus } from "../../../support/gossip-bus.ts";
import { describe } from "../../../support/harness.ts";
import { until } from "../../../support/until.ts";
import { account, domain, memoryStore, payer } from "../fixtures.ts";

import { chain, head, type Peer, peer, seqNow, sightOf } from "./rig.ts";

describe("payments/heads: where nobody listens", (test) => {
  const salt = newSalt();
  const offerTo = (one: Peer, cumulative: bigint) => {
    const channel = channelId(one.ledger.self, salt);
    const promise = signPromise(domain, payer, { channel, cumulative, total: cumulative, seq: seqNow() + cumulative });
    return { signer: payer.address, peer: payer.peerId, salt, promise, consumed: 0n };
  };

  test("nothing counts as seen, and what was promised here still counts after a restart", async () => {
    const lonely = await peer(gossipBus(), "lonely");
    await lonely.ledger.rememberAccount(payer.address, account({ readAtMs: Date.now() }));
    const offer = offerTo(lonely, 20_000n);
    const given = { chainReachable: true, limits: { maxUnsettled: 50_000n, minBond: 100n }, watch: lonely.heads.watch };
    assert.equal((await lonely.ledger.accept(offer, given)).accepted, true);
    const ref = { signer: payer.address, channel: offer.promise.channel };
    lonely.heads.accepted(ref);
    await lonely.heads.show(payer.address, offerTo(lonely, 30_000n).promise);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await lonely.heads.stop();
    assert.deepEqual(
      [...lonely.store.disk.keys()].filter((key) => key.includes("told/")),
      [],
    );

    const disk = new Map([...lonely.store.disk].filter(([key]) => !key.startsWith("heads/")));
    const again = await peer(gossipBus(), "lonely", { store: memoryStore(disk) });
    again.heads.watch.take(payer.address, head(payer, 1, { total: 100n }).promise);
    assert.equal(again.conflicts.length, 1);
    await again.heads.stop();
  });
});

describe("payments/heads: what is told of promises here", (test) => {
  const conditions = (one: Peer) => ({ chainReachable: true, limits: { maxUnsettled: 50_000n, minBond: 100n }, watch: one.heads.watch });

  test("the first promise is told at once and counts as seen after 2 s, what follows when a quarter of the limit is added", async () => {
    await using net = await chain();
    const { a, c } = net.peers;
    const salt = newSalt();
    const channel = channelId(a.ledger.self, salt);
    await a.ledger.rememberAccount(payer.address, account({ readAtMs: Date.now() }));
    const offer = (cumulative: bigint) => {
      const promise = signPromise(domain, payer, { channel, cumulative, total: cumulative, seq: seqNow() + cumulative });
      return { signer: payer.address, peer: payer.peerId, salt, promise, consumed: 0n };
    };
    const give = async (cumulative: bigint) => {
      const decision = await a.ledger.accept(offer(cumulative), conditions(a));
      if (decision.accepted) a.heads.accepted({ signer: payer.address, channel });
      return decision.accepted ? "accepted" : decision.refusal;
    };
    // bond / (8 * 3) = 33,333
    assert.equal(await give(33_334n), "unseen");
    assert.equal(await give(20_000n), "accepted");
    await until(() => sightOf(c).total === 20_000n);
    assert.equal(await give(33_334n), "unseen");
    // told, though not accepted: once others have seen it there is nothing to wait for
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const waiting = offer(45_000n);
    await a.heads.show(payer.address, { ...waiting.promise, total: 45_001n });
    await a.heads.show(payer.address, waiting.promise);
    await until(() => sightOf(c).total === 45_000n);
    assert.equal((await a.ledger.accept(waiting, conditions(a))).accepted, false);
    const sightHere = () => a.heads.watch.sight({ signer: payer.address, channel }, waiting.promise);
    // its deposit has become known just now, so it takes a little longer
    await until(() => sightHere().seen?.cumulative === 45_000n, 8_000);
    assert.deepEqual(await a.ledger.accept(waiting, conditions(a)), { accepted: true, fresh: true });
  });
});
