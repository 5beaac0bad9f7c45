import assert from "node:assert/strict";
import type { Hex } from "../../src/lib/codec.ts";
import { quantumMoney } from "../../src/payments/quantum.ts";
import { due } from "../../src/payments/terms.ts";
import { describe } from "../support/harness.ts";
import { auditHistory, type Observation } from "../support/ledger-audit.ts";
import { until } from "../support/until.ts";
import { enterNamespaces } from "../tunnel/backend/rig.ts";
import type { Exit } from "../tunnel/support/market.ts";
import { type FailoverRig, openFailoverRig } from "./support/failover/run.ts";
import { sorted } from "./support/leak-run.ts";
import { askLedger, readLedger } from "./support/ledgers.ts";

const skip = enterNamespaces(import.meta.filename);

describe("fault/failover: a connection outlives its exit, its address, and a crash of either side", (register, { before, after }) => {
  const test = (name: string, work: () => Promise<void>) => register(name, work, { skip, timeoutMs: 180_000 });
  let rig: FailoverRig;
  let signer: Hex;
  const history: Observation[] = [];
  before(
    async () => {
      rig = await openFailoverRig(2, (line) => console.log(line));
      await rig.ready();
      signer = (await rig.market.consumer.api.call("status")).address;
    },
    { timeoutMs: 180_000 },
  );
  after(async () => rig[Symbol.asyncDispose]());

  const exitOf = ({ peer }: { peer: string }) => rig.market.exits.find((one) => one.peer === peer) as Exit;
  const leaks = () => sorted(rig.capture, rig.market).outside;
  const look = async () => {
    const { consumer, exits } = rig.market;
    // after a change of address its connection to the chain leads nowhere, which is found out by a question
    const asked = () => askLedger("payer", consumer, signer);
    history.push(...(await asked().catch(asked)));
    for (const exit of exits) history.push(...(await askLedger("provider", exit, signer)));
  };
  /** Another session than `id` carries, with the same exit, and has begun with what was prepaid. */
  const nextAfter = async (before: { id: string; peer: string } | undefined) => {
    await until(async () => ((await rig.carried())?.id ?? before?.id) !== before?.id, 60_000);
    const now = await rig.carried();
    assert.equal(now?.peer, before?.peer);
    assert.ok(now && now.carriedIn > 0n, "what was prepaid is used up first");
    const { text } = await rig.market.user.ask({ do: "fetch", host: rig.market.target.address });
    assert.equal(text, exitOf(now).host.address);
    await look();
  };

  test("another takes over from one that falls silent: no packet outside, and at most a quantum unserved", async () => {
    const { problems, leaked, inside, quanta } = await rig.go("cable");
    assert.deepEqual([problems, leaked], [[], 0]);
    assert.ok(inside > 100 && quanta <= 1, `${inside} packets inside, ${quanta} quanta`);
    assert.ok(rig.unguarded > 0);
    await look();
  });

  test("after an address of this machine has changed it is the same session, and connections within go on", async () => {
    const { user, target, consumer } = rig.market;
    const before = await rig.ready();
    const standing = user.ask({ do: "trickle", host: target.address, bytes: 40 });
    await until(async () => ((await rig.carried())?.usedBytes ?? 0n) > before.usedBytes);
    const shaken = () => consumer.host.run("wg show all latest-handshakes");
    const handshake = shaken();
    assert.equal((await rig.move()).leaked, 0);
    // by itself it would send nothing until it shakes hands anew, after 15 s
    assert.equal(shaken(), handshake);
    await standing;
    const now = await rig.carried();
    assert.deepEqual([now?.id, now?.failover.switches.length], [before.id, before.failover.switches.length + 1]);
    // and it is paid for over the new stream
    await user.ask({ do: "transfer", host: target.address, way: "down", bytes: 2 * 2 ** 20 });
    await until(async () => ((await rig.carried())?.promises ?? 0) > (now?.promises ?? 0));
    await look();
  });

  test("after kill -9 of its node, and after kill -9 of the exit's, it goes on with what was prepaid", async () => {
    const { consumer, exits } = rig.market;
    const before = await rig.carried();
    process.kill(consumer.pid(), "SIGKILL");
    await consumer.stop();
    await rig.market.startConsumer(undefined, "up", [before?.peer ?? ""]);
    await nextAfter(before);
    const named = await rig.carried();
    assert.equal(named?.failover.choice, "same");
    const exit = exitOf({ peer: named?.peer ?? "" });
    process.kill(exit.pid(), "SIGKILL");
    await exit.stop();
    await rig.market.startExit(exits.indexOf(exit));
    await nextAfter(named);
    assert.deepEqual(leaks(), []);
  });

  test("in the end the ledgers say the same, and no more is paid for than what was used, and a quantum each time", async () => {
    const { consumer, exits, network, joining } = rig.market;
    const sold = [];
    for (const exit of exits) sold.push({ exit, ...(await exit.api.call("status")), ...(await exit.api.call("sessions")) });
    await consumer.stop();
    await Promise.all(exits.map((exit) => exit.stop()));
    const stored = await readLedger("payer", { dataDir: joining.dataDir, address: signer }, network);
    history.push(...stored);
    assert.equal(stored.length, exits.length);
    for (const { exit, address, sessions } of sold) {
      const [held] = await readLedger("provider", { dataDir: exit.dataDir, address }, network);
      assert.ok(held?.where === "held");
      history.push(held);
      const ours = stored.find(({ channel }) => channel === held.channel);
      assert.ok(ours?.where === "stored" && ours.cumulative === held.cumulative && ours.seq === held.seq);
      const used = sessions.reduce((sum, one) => sum + due(one, { bytes: one.usedBytes, ms: one.usedMs }), 0n);
      const quanta = sessions.reduce((sum, one) => sum + quantumMoney(one, one.usedBytes), 0n);
      assert.ok(
        sessions.length > 0 && held.cumulative <= used + quanta,
        `${held.cumulative} promised for ${used} in ${sessions.length} sessions`,
      );
    }
    assert.deepEqual(auditHistory(history), []);
  });
});
