import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ChainEvent } from "../../src/chain/chain.ts";
import { createPoller, type PolledBatch } from "../../src/chain/poller.ts";
import { systemClock } from "../../src/lib/clock.ts";
import type { Hex } from "../../src/lib/codec.ts";
import { silentLogger } from "../../src/lib/ports.ts";
import { openStore, type Store } from "../../src/lib/store.ts";
import { channelId } from "../../src/payments/promise.ts";
import { describe } from "../support/harness.ts";
import { chainOf, myst, promised, type Rig, startRig } from "./rig.ts";

const never = new AbortController().signal;

describe("chain: the poller of events", (test, { before, after }) => {
  let rig: Rig;
  let dir: string;
  let store: Store;
  before(async () => {
    rig = await startRig();
    dir = await mkdtemp(join(tmpdir(), "mystnode-poller-"));
    store = await openStore(dir);
  });
  after(async () => {
    await store.close();
    await rm(dir, { recursive: true });
    await rig[Symbol.asyncDispose]();
  });

  /** Deposits by signer, as a user of the poller would keep them: in the store, in the batch that moves the cursor. */
  const follower = (name: string, maxBlocks = 2_000) => {
    const table = store.table(`${name}.deposits`);
    const batches: PolledBatch[] = [];
    let failures = 0;
    const apply = async (batch: PolledBatch) => {
      if (failures > 0) {
        failures -= 1;
        throw new Error("the process ends here");
      }
      batches.push(batch);
      const ops = [];
      for await (const [key, value] of table.entries())
        if (batch.rolledBackTo !== undefined && Number(Buffer.from(value)) > batch.rolledBackTo) ops.push(table.del(key));
      for (const event of batch.events) if (event.type === "deposited") ops.push(table.put(event.signer, Buffer.from(String(event.block))));
      return ops;
    };
    const open = () =>
      createPoller(
        {
          source: chainOf(rig.rpc, rig.network).events,
          table: store.table(name),
          write: store.write,
          log: silentLogger,
          clock: systemClock,
        },
        { startBlock: rig.network.startBlock, everyMs: 3_600_000, maxBlocks, apply },
      );
    const known = async () => {
      const signers: string[] = [];
      for await (const [key] of table.entries()) signers.push(key);
      return signers;
    };
    return { open, known, batches, failNext: () => (failures += 1), events: (): ChainEvent[] => batches.flatMap(({ events }) => events) };
  };
  const depositor = async (): Promise<Hex> => {
    const person = await rig.person(2n * myst);
    await person.chain.deposit(myst, myst);
    return person.address;
  };

  test("tells deposits, clearings and closes, in order and once", async () => {
    const payer = await rig.person(50n * myst);
    const provider = await rig.person();
    await payer.chain.deposit(10n * myst, 2n * myst);
    const claim = promised(rig.network, payer, provider, 3n * myst);
    const { raw } = await provider.chain.prepareSettle([claim], provider.address);
    await provider.chain.submit(raw, [claim], never);
    const { closeAtMs } = await payer.chain.close();
    const follows = follower("all");
    await using poller = follows.open();
    await poller.poll();
    await poller.poll();
    for (const { block, timeMs } of follows.events()) {
      const { timestamp } = (await rig.ask("eth_getBlockByNumber", `0x${block.toString(16)}`, false)) as { timestamp: Hex };
      assert.equal(timeMs, Number(timestamp) * 1_000);
    }
    const told = follows.events().map(({ block: _b, logIndex: _l, hash: _h, timeMs: _t, ...event }) => event);
    assert.deepEqual(told, [
      { type: "deposited", signer: payer.address, owner: payer.address, amount: 10n * myst, bond: 2n * myst, line: 10n * myst },
      {
        type: "cleared",
        signer: payer.address,
        channel: channelId(provider.address, claim.salt),
        cumulative: 3n * myst,
        total: 3n * myst,
        seq: claim.seq,
        paid: 3n * myst,
      },
      { type: "closing", signer: payer.address, closeAtMs },
    ]);
  });

  test("goes on where it was after a restart, a piece at a time", async () => {
    const follows = follower("restart", 2);
    await using first = follows.open();
    await first.poll();
    await first.stop();
    const before = follows.events().length;
    const late = await depositor();
    await using second = follows.open();
    await second.poll();
    const fresh = follows.events().slice(before);
    assert.deepEqual(
      fresh.map((event) => event.signer),
      [late],
    );
    assert.ok(follows.batches.every(({ upTo }, i) => i === 0 || (upTo ?? 0) > (follows.batches[i - 1]?.upTo ?? 0)));
    assert.ok(follows.batches.length > 3, "read in pieces");
  });

  test("what was read but not written down comes again", async () => {
    const follows = follower("crash");
    follows.failNext();
    const one = await depositor();
    await using poller = follows.open();
    await poller.poll().catch(() => undefined);
    await poller.poll();
    assert.ok((await follows.known()).includes(one));
  });

  test("survives a reorg: what it undid is forgotten, what it brought is known", async () => {
    const follows = follower("reorg");
    const stays = await depositor();
    await rig.ask("anvil_mine", "0x5");
    await using poller = follows.open();
    await poller.poll();
    const undone = await depositor();
    await poller.poll();
    assert.deepEqual((await follows.known()).includes(undone), true);
    const head = Number(await rig.ask("eth_blockNumber"));
    await rig.ask("anvil_reorg", 4, []);
    await poller.poll();
    const known = await follows.known();
    assert.equal(known.includes(undone), false, "a deposit that is no more");
    assert.equal(known.includes(stays), true);
    const rolledBack = follows.batches.find(({ rolledBackTo }) => rolledBackTo !== undefined);
    assert.ok((rolledBack?.rolledBackTo ?? head) <= head - 4);
    const newcomer = await depositor();
    await poller.poll();
    assert.equal((await follows.known()).includes(newcomer), true);
  });

  test("a reorg while it was not running is noticed at the next start", async () => {
    const follows = follower("asleep");
    await using first = follows.open();
    const undone = await depositor();
    await first.poll();
    await first.stop();
    await rig.ask("anvil_reorg", 6, []);
    await using second = follows.open();
    await second.poll();
    assert.equal((await follows.known()).includes(undone), false);
  });
});
