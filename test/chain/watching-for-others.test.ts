import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createPoller } from "../../src/chain/poller.ts";
import { systemClock as clock } from "../../src/lib/clock.ts";
import { silentLogger as log } from "../../src/lib/ports.ts";
import { openStore } from "../../src/lib/store.ts";
import { signCheck } from "../../src/payments/check.ts";
import { clearingDomain } from "../../src/payments/eip712.ts";
import { channelId, newSalt } from "../../src/payments/promise.ts";
import { watchAnswerCodec, watchQuestionCodec } from "../../src/watch/protocol.ts";
import { startWatcher } from "../../src/watch/watcher.ts";
import { describe } from "../support/harness.ts";
import { until } from "../support/until.ts";
import { wire } from "../unit/watch/rig.ts";
import { fails, myst, type Person, promised, type Rig, startRig } from "./rig.ts";

const owed = myst / 10n;
const feeBps = 200;
const fee = (owed * 200n) / 10_000n;
const thirtyDays = 30n * 86_400n;

describe("chain: watching for others", (test, { before, after }) => {
  let rig: Rig;
  let directory: string;
  before(async () => {
    rig = await startRig();
    directory = await mkdtemp(join(tmpdir(), "mystnode-watch-"));
  });
  after(async () => {
    await rm(directory, { recursive: true });
    await rig[Symbol.asyncDispose]();
  });

  /** A promise of a payer's to a provider with the provider's check, and as it is handed over. */
  const check = (payer: Person, provider: Person, cumulative = owed, place = 0) => {
    const domain = clearingDomain(rig.network);
    const salt = newSalt();
    const { check: _, signer, salt: __, ...rest } = promised(rig.network, payer, provider, cumulative, salt);
    const promise = { ...rest, channel: channelId(provider.address, salt) };
    const terms = { to: provider.address, feeBps, deadline: BigInt(Math.floor(Date.now() / 1000)) + thirtyDays };
    const signed = signCheck(domain, provider.identity, promise, terms);
    return {
      handed: { signer, salt, place, promise, check: signed },
      claim: { signer, salt, ...rest, check: { ...signed, provider: provider.address } },
      channel: promise.channel,
    };
  };
  /** A watcher of its own data directory; `take` puts a check of a provider's into its hands. */
  const watching = async (person: Person, name: string) => {
    const store = await openStore(join(directory, name));
    const net = wire();
    const watcher = await startWatcher(
      {
        ...{ network: net.answering("w"), chain: person.chain, domain: clearingDomain(rig.network), self: person.address },
        ...{ minBond: rig.network.minBond, store, clock, log, here: () => new Set<string>() },
      },
      { feeBps, reviewMs: 3_600_000, retryMs: 100 },
    );
    const poller = createPoller(
      { source: person.chain.events, table: store.table("events"), write: store.write, log, clock },
      {
        ...{ startBlock: rig.network.startBlock, everyMs: 3_600_000 },
        apply: async ({ events }) => {
          for (const event of events) await watcher.take(event);
          return [];
        },
      },
    );
    const take = async (provider: Person, checks: ReturnType<typeof check>["handed"][]) => {
      const question = watchQuestionCodec.encode({ checks });
      const answer = await net.asking(provider.identity.peerId).ask("w", "", question, AbortSignal.timeout(10_000));
      return watchAnswerCodec.decode(answer).outcomes;
    };
    const stop = async () => {
      await poller.stop();
      await watcher.stop();
      await store.close();
    };
    return { watcher, take, poll: poller.poll, stop };
  };
  /** so many seconds later by the chain's clock, for as long as `work` takes */
  const later = async (seconds: number, work: () => Promise<void>) => {
    await rig.ask("evm_increaseTime", seconds);
    await rig.ask("evm_mine");
    await work();
    await rig.ask("anvil_setTime", Math.floor(Date.now() / 1000));
    await rig.ask("evm_mine");
  };
  /** for whom a coin is worth what a token is, so that gas has its price */
  const watcherPerson = () => rig.person(0n, { coinPrice: myst });
  const tokensOf = async ({ chain, address }: Person) => (await chain.balances(address)).tokens;

  test("a provider that is away through close and withdrawal loses nothing but the fee; one that nobody watches for loses all", async () => {
    const [payer, alone, watched, watcher] = [await rig.person(20n * myst), await rig.person(), await rig.person(), await watcherPerson()];
    await payer.chain.deposit(10n * myst, 2n * myst);
    const one = await watching(watcher, "away");
    const { handed, channel } = check(payer, watched);
    const unwatched = check(payer, alone);
    assert.deepEqual(await one.take(watched, [handed]), ["kept"]);
    await one.poll();

    await payer.chain.close();
    await one.poll();
    await until(() => one.watcher.view().cleared === 1);
    await later(3 * 86_400 + 60, async () => {
      assert.equal((await payer.chain.withdraw()).withdrawn, 12n * myst - owed);
    });

    assert.equal(await watched.chain.credit(watched.address), owed - fee);
    assert.equal(await tokensOf(watcher), fee);
    assert.deepEqual(one.watcher.view(), { feeBps, channels: 0, providers: 0, amount: 0n, cleared: 1, earned: fee });
    assert.equal(await watched.chain.paid(payer.address, channel), owed);
    // the control: the same promise in the hands of somebody who comes back after that
    const { raw } = await alone.chain.prepareSettle([unwatched.claim], alone.address);
    const { paid } = await alone.chain.submit(raw, [{ ...unwatched.claim, check: undefined }], AbortSignal.timeout(20_000));
    assert.deepEqual([paid, await tokensOf(alone)], [[0n], 0n]);

    const { collected } = await watched.chain.collect(watched.address);
    assert.equal(collected, owed - fee);
    await one.stop();
  });

  test("checks of several providers go in one transaction; a watcher that was away itself finds the close by its cursor", async () => {
    const [payer, first, second, watcher] = [await rig.person(20n * myst), await rig.person(), await rig.person(), await watcherPerson()];
    await payer.chain.deposit(10n * myst, 2n * myst);
    const before = await watching(watcher, "restarted");
    await before.poll();
    const [a, b] = [check(payer, first), check(payer, second, 2n * owed)];
    assert.deepEqual([await before.take(first, [a.handed]), await before.take(second, [b.handed])], [["kept"], ["kept"]]);
    await before.stop();
    await payer.chain.close();
    const again = await watching(watcher, "restarted");
    await again.poll();
    await until(() => again.watcher.view().cleared === 2);
    assert.equal(await tokensOf(watcher), 3n * fee);
    assert.deepEqual([await first.chain.credit(first.address), await second.chain.credit(second.address)], [owed - fee, 2n * (owed - fee)]);
    const nonce = await rig.ask("eth_getTransactionCount", watcher.address, "latest");
    assert.equal(nonce, "0x1");
    await again.stop();
  });

  test("of three watchers that clear the same one gets the fee, and the others spend nothing on what is cleared", async () => {
    const [payer, provider] = [await rig.person(20n * myst), await rig.person()];
    await payer.chain.deposit(10n * myst, 2n * myst);
    const people = [await watcherPerson(), await watcherPerson(), await watcherPerson()];
    const { handed } = check(payer, provider);
    const watchers = [];
    for (const [place, person] of people.entries()) {
      const one = await watching(person, `three-${place}`);
      assert.deepEqual(await one.take(provider, [{ ...handed, place }]), ["kept"]);
      await one.poll();
      watchers.push(one);
    }
    await payer.chain.close();
    for (const one of watchers) await one.poll();
    await until(async () => (await provider.chain.credit(provider.address)) > 0n);
    for (const one of watchers) await one.poll();
    assert.deepEqual(await Promise.all(people.map(tokensOf)), [fee, 0n, 0n]);
    assert.deepEqual(await Promise.all(people.map(({ address }) => rig.ask("eth_getTransactionCount", address, "latest"))), [
      "0x1",
      "0x0",
      "0x0",
    ]);
    for (const one of watchers) {
      await until(() => one.watcher.view().channels === 0);
      await one.stop();
    }
  });

  test("what would earn nothing, or less than its gas, is not sent", async () => {
    const [payer, provider, watcher] = [await rig.person(20n * myst), await rig.person(), await watcherPerson()];
    await payer.chain.deposit(10n * myst, 2n * myst);
    const { claim } = check(payer, provider);
    const clear = (limit?: bigint) => watcher.chain.prepareClear([claim], limit === undefined ? {} : { maxCost: limit });
    await fails(clear(10n), "GAS_PRICE_HIGH");
    await clear();
    const { raw } = await provider.chain.prepareSettle([claim], provider.address);
    await provider.chain.submit(raw, [{ ...claim, check: undefined }], AbortSignal.timeout(20_000));
    await fails(clear(), "GAS_PRICE_HIGH");
    await fails(clear(fee), "GAS_PRICE_HIGH");
    const { first, next } = await watcher.chain.clearCosts();
    const settling = await watcher.chain.costs();
    assert.ok(first > settling.first && next > settling.next);
  });

  test("a check of another's, of other terms or after its deadline is skipped by the contract, and costs its provider nothing", async () => {
    const [payer, provider, watcher] = [await rig.person(20n * myst), await rig.person(), await watcherPerson()];
    await payer.chain.deposit(10n * myst, 2n * myst);
    const { claim } = check(payer, provider);
    const changed = (change: Partial<typeof claim.check>) => ({ ...claim, check: { ...claim.check, ...change } });
    for (const bad of [changed({ feeBps: 10_000 }), changed({ to: watcher.address }), changed({ deadline: claim.check.deadline + 1n })])
      await fails(watcher.chain.prepareClear([bad]), "GAS_PRICE_HIGH");
    await watcher.chain.prepareClear([claim]);
    await later(31 * 86_400, () => fails(watcher.chain.prepareClear([claim]), "GAS_PRICE_HIGH").then(() => undefined));
    assert.equal(await provider.chain.credit(provider.address), 0n);
  });
});
