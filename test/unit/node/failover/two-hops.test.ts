import assert from "node:assert/strict";
import { isMystError } from "../../../../src/lib/errors.ts";
import type { ConnectOptions } from "../../../../src/node/types.ts";
import { QUANTUM_BYTES, quantumMoney } from "../../../../src/payments/quantum.ts";
import { failoverRig } from "../../../support/failover-rig.ts";
import { describe } from "../../../support/harness.ts";
import { prices } from "../../../support/session-market.ts";
import { until } from "../../../support/until.ts";

type Rig = Awaited<ReturnType<typeof failoverRig>>;

/** Connected by two hops, the last one named, with a standby for the first where there is another exit. */
async function connected(rig: Rig, change: Partial<ConnectOptions> = {}) {
  const [last = ""] = rig.peers;
  const connection = await rig.connect({ hops: 2, peer: last, ...change });
  const first = connection.first()?.peer ?? "";
  if (rig.peers.length > 2) await until(() => connection.failover().standby !== undefined);
  return { connection, first, last };
}
const states = ({ sessions }: Pick<Awaited<ReturnType<Rig["connect"]>>, "sessions">) => sessions().map(({ peer, state }) => [peer, state]);

describe("node/failover two hops", (test) => {
  test("two exits, a session with each and half of the budget for each; they end together", async () => {
    await using rig = await failoverRig(["a", "b"]);
    const budget = 1n << 40n;
    const { connection, first, last } = await connected(rig, { budget });
    assert.equal(connection.exit.peer, last);
    assert.deepEqual(rig.peers, [last, first]);
    assert.deepEqual([connection.session().budget, connection.first()?.budget], [budget / 2n, budget / 2n]);
    assert.notEqual(connection.session().channel, connection.first()?.channel);
    assert.ok(connection.session().promised > 0n && (connection.first()?.promised ?? 0n) > 0n);
    assert.equal(connection.failover().promised, connection.session().promised + (connection.first()?.promised ?? 0n));
    // the last one is not spoken with outside of the tunnel
    assert.deepEqual(rig.through, [["/ip4/198.0.0.1/tcp/4480"]]);
    await connection.disconnect();
    assert.deepEqual(states(connection), [
      [first, "CLOSED"],
      [last, "CLOSED"],
    ]);
    assert.deepEqual([rig.sessions(first), rig.sessions(last), rig.listeners()], [0, 0, 0]);
  });

  test("one exit alone, and what no other one goes with, are no two hops", async () => {
    await using rig = await failoverRig(["a"]);
    await assert.rejects(rig.connect({ hops: 2 }), (error) => isMystError(error, "NO_MATCHING_EXIT") && /--hops/.test(error.hint ?? ""));
    assert.equal(rig.records.size, 0);
  });

  for (const state of ["dead", "silent"] as const)
    test(`when the first one is ${state} another carries the tunnel to the same last one, which is not blamed`, async () => {
      await using rig = await failoverRig(["a", "b", "c"]);
      const { connection, first, last } = await connected(rig);
      const standby = connection.failover().standby?.peer;
      rig.service.take(QUANTUM_BYTES / 2n);
      rig.become(first, state);
      await until(() => connection.first()?.peer === standby && connection.failover().state === "carrying");
      assert.equal(connection.exit.peer, last);
      assert.deepEqual(
        rig.noted.filter(({ failed }) => failed),
        [{ peer: first, failed: true }],
      );
      await connection.disconnect();
      assert.equal(connection.sessions().length, 4);
    });

  test("also where any exit may take the last one's place, it is the first that has gone, and the last is not blamed", async () => {
    await using rig = await failoverRig(["a", "b", "c"]);
    const { connection, first } = await connected(rig, { failover: "any" });
    rig.become(first, "silent");
    await until(() => connection.first()?.peer !== first && connection.exit.peer !== first && connection.failover().state === "carrying");
    assert.deepEqual(
      rig.noted.filter(({ failed }) => failed),
      [{ peer: first, failed: true }],
    );
    await connection.disconnect();
  });

  test("when the last one goes nothing is carried, and both are opened anew once it is back", async () => {
    await using rig = await failoverRig(["a", "b", "c"]);
    const { connection, last } = await connected(rig);
    const before = connection.first()?.id;
    rig.become(last, "dead");
    await until(() => connection.failover().state === "looking");
    rig.become(last, "up");
    await until(() => connection.failover().state === "carrying");
    assert.equal(connection.exit.peer, last);
    assert.notEqual(connection.first()?.id, before);
    assert.deepEqual(
      rig.noted.filter(({ failed }) => failed),
      [{ peer: last, failed: true }],
    );
    await connection.disconnect();
  });

  test("the budget is for both: once half of it is used up by one of them that is the end", async () => {
    await using rig = await failoverRig(["a", "b"]);
    const quantum = quantumMoney(prices, 0n);
    const budget = 4n * quantum;
    const { connection } = await connected(rig, { budget });
    const taking = setInterval(() => rig.service.take(100_000n), 10);
    await assert.rejects(connection.ended, (error) => isMystError(error, "BUDGET_EXHAUSTED"));
    clearInterval(taking);
    const { promised } = connection.failover();
    assert.ok(promised <= budget && promised > budget / 2n, `${promised} of ${budget}`);
    await assert.rejects(rig.connect({ hops: 2, budget: quantum }), (error) => isMystError(error, "BUDGET_TOO_SMALL"));
  });
});
