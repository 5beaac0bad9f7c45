import assert from "node:assert/strict";
import { encode } from "cborg";
import { createIdentity } from "../../../../src/identity/identity.ts";
import type { Hex } from "../../../../src/lib/codec.ts";
import { clearingDomain } from "../../../../src/payments/eip712.ts";
import { encodeEvidence, encodeHead, evidenceTopic, shardOf, shardTopic } from "../../../../src/payments/heads/head.ts";
import { gossipBus } from "../../../support/gossip-bus.ts";
import { describe } from "../../../support/harness.ts";
import { until } from "../../../support/until.ts";
import { domain, memoryStore, payer } from "../fixtures.ts";

import { bytesOf, chain, channels, head, other, peer, seqNow, shard, sightOf, stranger, wire } from "./rig.ts";

describe("payments/heads: what others tell", (test) => {
  test("a payer's head goes round, and counts at once", async () => {
    await using net = await chain();
    assert.equal(sightOf(net.peers.c).channels, 1);
    assert.equal(await net.verdict(bytesOf(payer, 1)), "accept");
    await until(() => sightOf(net.peers.c).channels === 2);
    assert.equal(sightOf(net.peers.c).total, 1_000n);
    assert.deepEqual([sightOf(net.peers.a).standing, sightOf(net.peers.c).standing], ["clear", "clear"]);
  });

  test("rejects what is malformed or signed by another or elsewhere, ignores what is old, unknown or far ahead, and none of it counts", async () => {
    await using net = await chain();
    const elsewhere = clearingDomain({ chainId: domain.chainId + 1, contract: domain.contract });
    const otherContract = clearingDomain({ chainId: domain.chainId, contract: `0x${"c2".repeat(20)}` });
    const good = head(payer, 1);
    const { signer, promise } = good;
    const fields = { signature: promise.signature, ...wire(promise), signer: Buffer.from(signer.slice(2), "hex") };
    const unordered = encode(fields, { mapSorter: () => 0 });
    assert.equal(unordered.length, encodeHead(good).length);
    const long = Buffer.concat([encodeHead(good), Buffer.alloc(1)]);
    const wrong: [string, Uint8Array, string, string?][] = [
      ["no CBOR", Uint8Array.of(1, 2, 3), "reject"],
      ["too long", new Uint8Array(257), "reject"],
      ["something behind it", long, "reject"],
      ["in another order", unordered, "reject"],
      ["another shard", encodeHead(good), "reject", shardTopic((shardOf(payer.address) + 1) % 16)],
      ["signed by another", encodeHead({ ...good, promise: head(stranger, 1).promise }), "reject"],
      ["signed for another chain", bytesOf(payer, 1, {}, elsewhere), "reject"],
      ["signed for another contract", bytesOf(payer, 1, {}, otherContract), "reject"],
      ["another content than was signed", encodeHead({ ...good, promise: { ...good.promise, total: 99n } }), "reject"],
      ["no signature", encodeHead({ ...good, promise: { ...good.promise, signature: new Uint8Array(64) } }), "reject"],
      ["from an hour ahead", bytesOf(payer, 1, { seq: seqNow() + (3_600_000n << 20n) }), "ignore"],
    ];
    for (const [what, bytes, validity, topic] of wrong) assert.equal(await net.verdict(bytes, topic), validity, what);
    assert.equal(await net.verdict(bytesOf(stranger, 1), shardTopic(shardOf(stranger.address))), "ignore");
    assert.equal(sightOf(net.peers.a).channels, 1);
    assert.equal(await net.verdict(encodeHead(good)), "accept");
    const older = bytesOf(payer, 1, { cumulative: 99n, total: 999n, seq: good.promise.seq - 1n });
    assert.equal(await net.verdict(older), "ignore");
    assert.ok(Object.values(net.peers).every(({ conflicts }) => conflicts.length === 0));
  });

  test("what cannot all be true is found out by whoever hears the second head, and told to the others", async () => {
    await using net = await chain();
    const [first, second] = [head(payer, 1, { total: 100n }), head(payer, 2, { total: 150n })];
    assert.equal(await net.verdict(encodeHead(first)), "accept");
    assert.equal(await net.verdict(encodeHead(second)), "accept");
    await until(() => Object.values(net.peers).every(({ conflicts }) => conflicts.length === 1));
    const { a, c } = net.peers;
    assert.deepEqual(a.conflicts[0]?.heads, [second.promise, first.promise]);
    assert.equal(sightOf(c).standing, "conflict");
    // the same again after a restart
    const again = await peer(gossipBus(), "c", { store: memoryStore(new Map(c.store.disk)) });
    assert.equal(sightOf(again).standing, "conflict");
    assert.deepEqual(
      again.conflicts.map(({ signer, sinceMs }) => ({ signer, sinceMs })),
      [{ signer: payer.address, sinceMs: c.conflicts[0]?.sinceMs }],
    );
    await again.heads.stop();
  });

  test("evidence is taken as a whole by those who hold newer heads, and forged evidence harms nobody but its sender", async () => {
    await using net = await chain();
    const seq = seqNow();
    const lies = [head(payer, 1, { total: 100n, seq }), head(payer, 2, { total: 150n, seq: seq + 1n })];
    // by the time the others hear of it, both channels tell another story
    const later = [
      head(payer, 1, { cumulative: 200n, total: 400n, seq: seq + 2n }),
      head(payer, 2, { cumulative: 200n, total: 500n, seq: seq + 3n }),
    ];
    for (const one of later) assert.equal(await net.verdict(encodeHead(one)), "accept");
    for (const one of lies) assert.equal(await net.verdict(encodeHead(one)), "ignore");
    const message = (heads: typeof lies) => encodeEvidence({ signer: payer.address, promises: heads.map(({ promise }) => promise) });
    const forged: [string, Uint8Array, string][] = [
      ["heads that go together", message(later), "reject"],
      ["the same head twice", message([lies[0], lies[0]] as typeof lies), "reject"],
      [
        "heads of two signers",
        message([lies[0], { ...head(other, 2, { total: 150n, seq: seq + 1n }), signer: payer.address }] as typeof lies),
        "reject",
      ],
      ["content that was changed", message(lies.map((one) => ({ ...one, promise: { ...one.promise, total: 50n } }))), "reject"],
      ["of whom nothing is known", encodeEvidence({ signer: stranger.address, promises: lies.map(({ promise }) => promise) }), "ignore"],
    ];
    for (const [what, bytes, validity] of forged) assert.equal(await net.verdict(bytes, evidenceTopic), validity, what);
    assert.ok(Object.values(net.peers).every(({ conflicts }) => conflicts.length === 0));
    assert.equal(await net.verdict(message(lies), evidenceTopic), "accept");
    await until(() => Object.values(net.peers).every(({ conflicts }) => conflicts.length === 1));
    assert.equal(await net.verdict(message([...lies].reverse()), evidenceTopic), "ignore");
  });

  test("whoever finds it out tells it, also what nobody else has heard", async () => {
    await using net = await chain();
    const { a, b, c } = net.peers;
    a.heads.watch.take(payer.address, head(payer, 1, { total: 100n }).promise);
    a.heads.watch.take(payer.address, head(payer, 2, { total: 150n }).promise);
    await until(() => [a, b, c].every(({ conflicts }) => conflicts.length === 1));
    assert.equal(sightOf(c).channels, 1);
  });

  test("what the contract has cleared and what was promised here count like what was told", async () => {
    await using net = await chain();
    const { a, b } = net.peers;
    const cleared = { signer: payer.address, channel: channels[1] as Hex, cumulative: 500n, total: 500n, seq: seqNow(), block: 7 };
    await a.heads.takeEvents({ undoneAbove: undefined, cleared: [cleared], accounts: [] });
    a.heads.watch.take(payer.address, head(payer, 2, { total: 550n, seq: cleared.seq + 1n }).promise);
    assert.equal(sightOf(a).standing, "conflict");
    assert.equal(sightOf(b).standing, "clear");
    // the block is undone, and with it the evidence
    await a.heads.takeEvents({ undoneAbove: 6, cleared: [], accounts: [] });
    assert.equal(sightOf(a).standing, "clear");
  });

  test("a signer whose deposit is news is looked for on the chain once, not for each head", async () => {
    await using net = await chain({ knows: [], finds: [payer.address] });
    const heads = [1, 2, 3].map((index) => bytesOf(payer, index));
    for (const bytes of heads) await net.talker.publish(shard, bytes);
    await until(() => net.bus.told.filter(({ to, validity }) => to === "a" && validity === "accept").length === heads.length);
    assert.equal(net.peers.a.looks(), 1);
    assert.equal(sightOf(net.peers.a).channels, 4);
  });

  test("for four of a neighbour at once, and no more", async () => {
    const people = Array.from({ length: 6 }, (_, i) => createIdentity(new Uint8Array(32).fill(100 + i)));
    await using net = await chain({ knows: [], finds: people.map(({ address }) => address) });
    for (const by of people) await net.talker.publish(shardTopic(shardOf(by.address)), bytesOf(by, 1));
    const toA = () => net.bus.told.filter(({ to }) => to === "a").map(({ validity }) => validity);
    await until(() => toA().length === people.length);
    assert.deepEqual(toA().sort(), ["accept", "accept", "accept", "accept", "ignore", "ignore"]);
  });

  test("whoever names strangers is soon not listened to about them, and costs no look at the chain each", async () => {
    await using net = await chain();
    const unknown = Array.from({ length: 40 }, (_, i) => createIdentity(new Uint8Array(32).fill(100 + i))).map((by) => ({
      bytes: bytesOf(by, 1),
      by,
    }));
    await Promise.all(unknown.map(({ bytes, by }) => net.talker.publish(shardTopic(shardOf(by.address)), bytes)));
    await until(() => net.bus.told.length === unknown.length);
    assert.ok(net.bus.told.every(({ validity }) => validity === "ignore"));
    assert.ok(net.peers.a.looks() <= 2, `${net.peers.a.looks()} looks`);
  });

  test("a payer that floods its channel is heard once a second, and cannot keep out what has more money in it", async () => {
    await using net = await chain();
    const seq = seqNow();
    const flood = (n: number) => bytesOf(payer, 1, { cumulative: BigInt(n), total: 10_000n, seq: seq + BigInt(n) });
    await net.verdict(flood(0));
    for (let n = 1; n <= 150; n += 1) void net.talker.publish(shard, flood(n));
    net.bus.link("exit", "a");
    await net.bus.network("exit").publish(shard, bytesOf(payer, 1, { cumulative: 5_000n, total: 9_000n, seq: seq + 1_000n }));
    await until(() => net.bus.told.filter(({ to }) => to === "a").length === 152);
    const accepted = net.bus.told.filter(({ to, validity }) => to === "a" && validity === "accept");
    assert.deepEqual(accepted.map(({ from }) => from).sort(), ["exit", "talker"]);
  });

  test("one that has more channels than are held gets no credit, and others keep their place", async () => {
    await using net = await chain();
    const { a } = net.peers;
    for (let index = 0; index < 257; index += 1)
      a.heads.watch.take(payer.address, head(payer, index, { cumulative: 1n, total: 10_000n }).promise);
    assert.equal(sightOf(a, 300).standing, "crowded");
    assert.equal(sightOf(a, 3).standing, "crowded");
  });
});
