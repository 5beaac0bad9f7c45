import assert from "node:assert/strict";
import { isMystError } from "../../../../src/lib/errors.ts";
import { suspectMs } from "../../../../src/node/failover/machine.ts";
import { QUANTUM_BYTES, QUANTUM_MS, quantumMoney } from "../../../../src/payments/quantum.ts";
import { due } from "../../../../src/payments/terms.ts";
import { stepConsumer } from "../../../../src/session/consumer.ts";
import { failoverRig } from "../../../support/failover-rig.ts";
import { describe } from "../../../support/harness.ts";
import { prices } from "../../../support/session-market.ts";
import { until } from "../../../support/until.ts";

type Rig = Awaited<ReturnType<typeof failoverRig>>;
/** Connected, with a standby where there is another exit. */
async function connected(rig: Rig, change: Parameters<Rig["connect"]>[0] = {}) {
  const connection = await rig.connect(change);
  if (rig.peers.length > 1 && connection.failover().choice === "any") await until(() => connection.failover().standby !== undefined);
  return connection;
}
const soonMs = 700;
const takeAll = (rig: Rig, bytes: bigint) => {
  let left = bytes;
  return until(() => {
    left -= rig.service.take(left < 100_000n ? left : 100_000n);
    return left === 0n;
  });
};

describe("node/failover: a connection outlives its exit", (test) => {
  test("when it dies another takes over, and the connection is the same one", async () => {
    await using rig = await failoverRig(["a", "b", "c"]);
    const connection = await connected(rig);
    const [first, standby] = [connection.exit.peer, connection.failover().standby?.peer];
    await takeAll(rig, QUANTUM_BYTES);
    const before = connection.sessionId;
    // what it has of ours is asked while there is time
    assert.ok(rig.asked.includes(standby ?? ""));
    rig.become(first, "dead");
    await until(() => connection.exit.peer !== first);
    assert.equal(connection.exit.peer, standby);
    await takeAll(rig, QUANTUM_BYTES);
    await until(() => rig.steps.at(-1)?.what === "standby");
    assert.deepEqual([connection.session().state, connection.sessionId === before], ["ACTIVE", false]);
    assert.deepEqual(
      connection.sessions().map(({ peer, state }) => [peer, state]),
      [
        [first, "CLOSED"],
        [standby, "ACTIVE"],
      ],
    );
    const [step] = connection.failover().switches;
    assert.ok(step?.what === "switched" && step.from === first && step.peer === standby && step.session === connection.sessionId);
    assert.equal(step.reason, "the exit does not answer any more");
    // what is prepaid is lost, and no more
    const [gone] = connection.sessions();
    const most = due(prices, { bytes: gone?.usedBytes ?? 0n, ms: gone?.usedMs ?? 0 }) + quantumMoney(prices, QUANTUM_BYTES);
    assert.ok(rig.promised(first) <= most, `${rig.promised(first)} promised, at most ${most}`);
    const last = await connection.disconnect();
    assert.deepEqual([last.id, last.state], [connection.sessionId, "CLOSED"]);
    assert.equal((await connection.ended).id, last.id);
    assert.equal(connection.failover().usedBytes, 2n * QUANTUM_BYTES);
    assert.equal(rig.records.size, 2);
    const outcomes = [
      { peer: first, failed: true },
      { peer: standby, failed: false },
    ];
    assert.deepEqual(rig.noted, outcomes);
    for (const record of rig.records.values()) assert.ok(record.endedMs !== undefined);
  });

  /** What is signed for an exit from when it falls silent until it is left, base units. */
  const signedForNothing = async (options: Parameters<typeof failoverRig>[1]) => {
    await using rig = await failoverRig(["a", "b"], options);
    const connection = await connected(rig);
    const first = connection.exit.peer;
    // half of what is bought of time is over soon after
    await until(() => connection.session().usedMs > QUANTUM_MS / 2 - soonMs);
    rig.become(first, "silent");
    const { promised } = connection.session();
    await until(() => connection.exit.peer !== first);
    const step = connection.failover().switches.at(-1);
    assert.ok(step?.what === "switched" && step.tookMs >= suspectMs);
    const signed = (connection.sessions()[0]?.promised ?? 0n) - promised;
    await connection.disconnect();
    return signed;
  };

  test("when it falls silent, too, and nothing is signed for it from then on", async () => {
    // who does not look at how long it has been silent signs, and that is seen
    const blind: typeof stepConsumer = (state, event) =>
      stepConsumer(state, event.type === "used" ? { ...event, silentMs: 0, waitingMs: 0 } : event);
    const [seeing, unseeing] = await Promise.all([signedForNothing({}), signedForNothing({ step: blind })]);
    assert.equal(seeing, 0n);
    assert.ok(unseeing > 0n);
  });

  test("a standby that goes is replaced before it is needed", async () => {
    await using rig = await failoverRig(["a", "b", "c"]);
    const connection = await connected(rig);
    const standby = connection.failover().standby?.peer ?? "";
    rig.become(standby, "dead");
    await until(() => ![undefined, standby].includes(connection.failover().standby?.peer), 4_000);
    await connection.disconnect();
    assert.equal(rig.listeners(), 0);
  });

  test("when only the connection breaks the session goes on over another one", async () => {
    await using rig = await failoverRig(["a", "b"]);
    const connection = await connected(rig);
    const { sessionId, exit } = connection;
    rig.cut(exit.peer);
    await until(() => connection.failover().switches.length > 0);
    assert.deepEqual([connection.failover().switches.at(-1)?.what, connection.sessionId], ["resumed", sessionId]);
    await takeAll(rig, 2n * QUANTUM_BYTES);
    assert.equal(rig.sessions(exit.peer), 1);
    await connection.disconnect();
    assert.equal(rig.payer.channels().length, 1);
  });

  test("all of it together stays within the budget, and ends with it", async () => {
    await using rig = await failoverRig(["a", "b"]);
    const budget = quantumMoney(prices, 0n) * 2n;
    const connection = await connected(rig, { budget });
    const first = connection.exit.peer;
    await takeAll(rig, QUANTUM_BYTES / 2n);
    rig.become(first, "dead");
    await until(() => connection.exit.peer !== first);
    const taking = setInterval(() => rig.service.take(100_000n), 10);
    await assert.rejects(connection.ended, (error) => isMystError(error, "BUDGET_EXHAUSTED"));
    clearInterval(taking);
    const promised = connection.sessions().reduce((sum, one) => sum + one.promised, 0n);
    assert.ok(promised <= budget && promised > budget / 2n, `${promised} of ${budget}`);
    assert.equal(connection.failover().promised, promised);
    assert.equal(rig.payer.totals().total, promised);
  });

  test("what is left of the budget may be too little for another exit: that is the end as well", async () => {
    await using rig = await failoverRig(["a", "b"]);
    const connection = await connected(rig, { budget: quantumMoney(prices, 0n) + 10n });
    rig.become(connection.exit.peer, "dead");
    await assert.rejects(connection.ended, (error) => isMystError(error, "BUDGET_EXHAUSTED"));
  });
});

describe("node/failover: what it does not do", (test) => {
  test("with nobody to take over it goes on looking, and ends when it is told to", async () => {
    await using rig = await failoverRig(["a"]);
    const connection = await connected(rig);
    rig.become(connection.exit.peer, "dead");
    await until(() => rig.steps.some(({ what }) => what === "looking"));
    assert.equal(connection.failover().state, "looking");
    const last = await connection.disconnect();
    assert.equal(last.state, "CLOSED");
    assert.equal((await connection.ended).id, last.id);
  });

  test("an exit that is named is not replaced: it is taken up again once it is back", async () => {
    await using rig = await failoverRig(["a", "b"]);
    const [, named = ""] = rig.peers;
    const connection = await connected(rig, { peer: named });
    assert.equal(connection.failover().choice, "same");
    rig.become(named, "dead");
    await until(() => connection.failover().state === "looking");
    rig.become(named, "up");
    const first = connection.sessionId;
    await until(() => connection.sessionId !== first);
    assert.equal(connection.exit.peer, named);
    assert.ok(connection.session().carriedIn > 0n);
    assert.equal(connection.failover().standby, undefined);
    await connection.disconnect();
  });

  test("an exit that says what is no message is left and never gone back to, though nobody else is left", async () => {
    await using rig = await failoverRig(["a", "b"]);
    const connection = await connected(rig);
    const [liar, other] = [connection.exit.peer, connection.failover().standby?.peer ?? ""];
    rig.garble(liar);
    await until(() => connection.exit.peer === other);
    assert.match(connection.sessions()[0]?.reason ?? "", /^MALFORMED/);
    rig.become(other, "dead");
    await until(() => rig.steps.some(({ what }) => what === "looking"));
    await new Promise((done) => setTimeout(done, 1_200));
    assert.deepEqual([connection.failover().state, connection.sessions().length], ["looking", 2]);
    await connection.disconnect();
  });

  test("with failover off an exit that goes is the end", async () => {
    await using rig = await failoverRig(["a", "b"]);
    const connection = await connected(rig, { failover: "off" });
    rig.become(connection.exit.peer, "dead");
    await assert.rejects(connection.ended, (error) => isMystError(error, "PEER_UNREACHABLE"));
    assert.deepEqual([rig.steps, connection.sessions().length], [[], 1]);
  });

  test("a node that stops ends it, in the middle of looking for another exit too", async () => {
    for (const dies of [false, true]) {
      await using rig = await failoverRig(["a"]);
      const connection = await connected(rig);
      if (dies) {
        rig.become(connection.exit.peer, "dead");
        await until(() => connection.failover().state === "looking");
      }
      rig.stop();
      assert.equal((await connection.ended).state, "CLOSED");
    }
  });
});
