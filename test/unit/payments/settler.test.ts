import assert from "node:assert/strict";
import fc from "fast-check";
import type { Hex } from "../../../src/lib/codec.ts";
import { MystError } from "../../../src/lib/errors.ts";
import { describe } from "../../support/harness.ts";
import { channel, type Fate, memoryStore } from "./fixtures.ts";
import { fails, fakeChain, promise, refOf, setUp, still, storedRaw, type Trouble, until } from "./settler-rig.ts";

describe("payments/settler: clearing", (test) => {
  test("on demand: everything, in one transaction, and a second time nothing", async () => {
    const { ledger, settler, events, chain } = await setUp();
    await promise(ledger, 0, 300n);
    await promise(ledger, 1, 400n);
    const done = await settler.settleNow();
    assert.deepEqual([done.claims, done.paid], [2, 700n]);
    assert.deepEqual([ledger.channel(refOf(0))?.paid, ledger.channel(refOf(1))?.paid], [300n, 400n]);
    assert.deepEqual(
      events.map(({ paid, hash }) => [paid, hash]),
      [[700n, done.hash]],
    );
    assert.deepEqual(await settler.settleNow(), { claims: 0, paid: 0n });
    assert.equal(chain.transactions().length, 1);
    await settler.stop();
  });

  test("more than a batch holds takes further transactions", async () => {
    const { ledger, settler, chain } = await setUp();
    for (let n = 0; n < 53; n += 1) await promise(ledger, n, 10n);
    const done = await settler.settleNow();
    assert.deepEqual([done.claims, done.paid], [53, 530n]);
    assert.deepEqual(
      chain.transactions().map(({ paid }) => paid.length),
      [50, 3],
    );
    await settler.stop();
  });

  test("at the threshold, counted from what is claimed already", async () => {
    const { ledger, settler, events } = await setUp();
    await promise(ledger, 0, 999n);
    settler.consider(refOf(0));
    await still();
    assert.equal(events.length, 0);
    await promise(ledger, 0, 1_000n);
    settler.consider(refOf(0));
    await until(() => events.length === 1);
    await promise(ledger, 0, 1_500n);
    settler.consider(refOf(0));
    await still();
    assert.equal(events.length, 1);
    await promise(ledger, 0, 2_000n);
    settler.consider(refOf(0));
    await until(() => events.length === 2);
    assert.deepEqual(
      events.map(({ paid }) => paid),
      [1_000n, 1_000n],
    );
    await settler.stop();
  });

  test("at a session's end what is worth its gas, others that are along with it; dust is left until it is asked for by hand", async () => {
    const { ledger, settler, events, chain } = await setUp();
    chain.costs = { first: 3n, next: 2n };
    await promise(ledger, 0, 59n);
    await promise(ledger, 1, 39n);
    await promise(ledger, 2, 40n);
    settler.requestSettle("session end", refOf(1));
    await still();
    assert.equal(events.length, 0);
    await promise(ledger, 0, 60n);
    settler.requestSettle("session end", refOf(0));
    await until(() => events.length === 1);
    await still();
    assert.deepEqual(
      events.map(({ claims }) => claims.map(({ signer, paid }) => [signer, paid])),
      [
        [
          [refOf(0).signer, 60n],
          [refOf(2).signer, 40n],
        ],
      ],
    );
    assert.equal(ledger.channel(refOf(1))?.paid, 0n);
    assert.deepEqual((await settler.settleNow()).paid, 39n);
    await settler.stop();
  });

  test("at the start what was left, dust not", async () => {
    const first = await setUp();
    await promise(first.ledger, 0, 60n);
    await promise(first.ledger, 1, 10n);
    await first.settler.stop();
    const { settler, events, ledger, chain } = await setUp({ store: first.store });
    chain.costs = { first: 3n, next: 3n };
    settler.start();
    await until(() => events.length === 1);
    assert.deepEqual([ledger.channel(refOf(0))?.paid, ledger.channel(refOf(1))?.paid], [60n, 0n]);
    await settler.stop();
  });

  test("what the contract cannot pay is not claimed again and again", async () => {
    const { ledger, settler, events, chain } = await setUp({ fake: fakeChain(400n) });
    await promise(ledger, 0, 2_000n);
    settler.consider(refOf(0));
    await until(() => events.length === 1);
    for (let i = 0; i < 5; i += 1) settler.consider(refOf(0));
    await still();
    assert.deepEqual([chain.transactions().length, ledger.channel(refOf(0))?.paid], [1, 400n]);
    await settler.stop();
  });
});

describe("payments/settler: trouble", (test) => {
  test("while no RPC answers it stays queued, says so to who asked, and clears later", async () => {
    const { ledger, settler, events, chain } = await setUp();
    await promise(ledger, 0, 300n);
    chain.down = true;
    await assert.rejects(settler.settleNow(), fails("RPC_UNREACHABLE"));
    chain.down = false;
    await until(() => events.length === 1);
    assert.equal(ledger.channel(refOf(0))?.paid, 300n);
    await settler.stop();
  });

  test("without gas the same", async () => {
    const { ledger, settler, events, chain } = await setUp();
    await promise(ledger, 0, 300n);
    chain.trouble = ["noGas"];
    await assert.rejects(settler.settleNow(), fails("INSUFFICIENT_GAS"));
    await until(() => events.length === 1);
    await settler.stop();
  });

  test("an answer that is lost: the same transaction is sent again, and paid once", async () => {
    const { ledger, settler, events, chain } = await setUp();
    await promise(ledger, 0, 300n);
    chain.trouble = ["lostAnswer", "down"];
    settler.requestSettle("session end", refOf(0));
    await until(() => events.length === 1);
    assert.deepEqual([chain.transactions().length, events[0]?.paid], [1, 300n]);
    await settler.stop();
  });

  test("a transaction that can never be mined is made anew", async () => {
    const { ledger, settler, events, chain } = await setUp();
    await promise(ledger, 0, 300n);
    chain.trouble = ["dead", "dead"];
    settler.requestSettle("session end", refOf(0));
    await until(() => events.length === 1);
    assert.equal(events[0]?.paid, 300n);
    await settler.stop();
  });

  test("what the chain has paid already is not claimed again", async () => {
    const { ledger, settler, chain } = await setUp();
    await promise(ledger, 0, 300n);
    await promise(ledger, 1, 300n);
    chain.paid.set(`${refOf(0).signer}/${channel}`, 300n);
    const done = await settler.settleNow();
    assert.deepEqual([done.claims, done.paid, ledger.channel(refOf(0))?.paid], [1, 300n, 300n]);
    await settler.stop();
  });

  test("a transaction that cannot be written down is not sent until it can", async () => {
    let full = true;
    const store = memoryStore(new Map(), (ops) => (full && ops.some(({ key }) => key.endsWith("/pending")) ? "lost" : "done"));
    const { ledger, settler, events, chain } = await setUp({ store });
    await promise(ledger, 0, 300n);
    await assert.rejects(settler.settleNow());
    assert.equal(chain.transactions().length, 0);
    full = false;
    await until(() => events.length === 1);
    await settler.stop();
  });

  test("stopped in mid-flight it asks nothing more of the chain, and those who wait are told", async () => {
    const { ledger, settler, chain } = await setUp();
    await promise(ledger, 0, 300n);
    const held = Promise.withResolvers<void>();
    chain.onSubmit = () => held.promise;
    const waiting = assert.rejects(settler.settleNow(), fails("INTERRUPTED"));
    await still();
    const stopped = settler.stop();
    held.resolve();
    await stopped;
    await waiting;
    await assert.rejects(settler.settleNow(), fails("INTERRUPTED"));
  });

  test("one that ends as soon as all is settled has forgotten the transaction by then, however slow the disk", async () => {
    const slow = async () => {
      await still();
      return "done" as const;
    };
    const store = memoryStore(new Map(), slow);
    const { ledger, settler } = await setUp({ store });
    await promise(ledger, 0, 300n);
    assert.equal((await settler.settleNow()).paid, 300n);
    await settler.stop();
    assert.equal(storedRaw(store.disk), undefined);
    const next = await setUp({ store });
    assert.deepEqual(await next.settler.settleNow(), { claims: 0, paid: 0n });
    await next.settler.stop();
  });

  test("a stored transaction that cannot be read costs no money", async () => {
    const store = memoryStore();
    const first = await setUp({ store });
    await promise(first.ledger, 0, 300n);
    const prefix = [...store.disk.keys()][0]
      ?.replace(/^provider/, "settler")
      .split("/")
      .slice(0, 4)
      .join("/");
    store.disk.set(`${prefix}/pending`, Uint8Array.of(1, 2));
    assert.equal((await first.settler.settleNow()).paid, 300n);
    await first.settler.stop();
  });

  test("a crash at any write, with an RPC that fails at will: all is paid once, and nothing is sent that is not on disk", async () => {
    const crashes = fc.array(
      fc.record({
        at: fc.integer({ min: 1, max: 12 }),
        how: fc.constantFrom("lost", "doneThenCrash") as fc.Arbitrary<Exclude<Fate, "done">>,
      }),
      { maxLength: 3 },
    );
    const troubles = fc.array(fc.constantFrom<Trouble>("down", "dead", "lostAnswer", "stuck"), { maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(crashes, troubles, async (ends, trouble) => {
        const fake = fakeChain();
        fake.chain.trouble = trouble;
        const early: Hex[] = [];
        const check = (raw: Hex) => void (storedRaw(disk) === raw || early.push(raw));
        const disk = new Map<string, Uint8Array>();
        const first = await setUp({ store: memoryStore(disk), fake });
        for (let n = 0; n < 3; n += 1) await promise(first.ledger, n, 100n * BigInt(n + 1));
        for (const { at, how } of ends) {
          let writes = 0;
          let dead = false;
          const store = memoryStore(disk, () => {
            if (dead) return "lost";
            writes += 1;
            if (writes < at) return "done";
            dead = true;
            return how;
          });
          // a dead process sends nothing
          fake.chain.onSubmit = async (raw) => {
            if (dead) throw new MystError("RPC_UNREACHABLE", "dead");
            check(raw);
          };
          const life = await setUp({ store, fake });
          life.settler.start();
          await still();
          dead = true;
          await life.settler.stop();
        }
        fake.chain.onSubmit = async (raw) => check(raw);
        const last = await setUp({ store: memoryStore(disk), fake });
        last.settler.start();
        await until(() => [0, 1, 2].every((n) => last.ledger.channel(refOf(n))?.paid === 100n * BigInt(n + 1)));
        await last.settler.settleNow();
        await last.settler.stop();
        assert.deepEqual(early, [], "sent before it was on disk");
        const paid = fake.chain.transactions().flatMap((each) => each.paid);
        assert.equal(
          paid.reduce((sum, each) => sum + each, 0n),
          600n,
        );
        assert.equal(storedRaw(disk), undefined);
      }),
      { numRuns: 30 },
    );
  });
});
