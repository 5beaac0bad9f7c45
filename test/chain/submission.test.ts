import assert from "node:assert/strict";
import { setTimeout as wait } from "node:timers/promises";
import type { Hex } from "../../src/lib/codec.ts";
import { describe } from "../support/harness.ts";
import { until } from "../support/until.ts";
import { chainOf, fails, myst, type Person, promised, type Rig, startGate, startRig } from "./rig.ts";

const never = new AbortController().signal;

describe("chain: a transaction from its making to its end", (test, { before, after }) => {
  let rig: Rig;
  let payer: Person;
  before(async () => {
    rig = await startRig();
    payer = await rig.person(1000n * myst);
    await payer.chain.deposit(500n * myst, 2n * myst);
  });
  after(async () => rig[Symbol.asyncDispose]());

  const nonceOf = async (address: Hex) => Number(await rig.ask("eth_getTransactionCount", address, "latest"));

  test("preparing sends nothing", async () => {
    const provider = await rig.person();
    const { hash, nonce } = await provider.chain.prepareSettle([promised(rig.network, payer, provider, myst)], provider.address);
    assert.equal(nonce, 0);
    assert.equal(await rig.ask("eth_getTransactionByHash", hash), null);
  });

  test("another process sends what one has stored, and sending it again tells the same", async () => {
    const provider = await rig.person();
    const claims = [promised(rig.network, payer, provider, myst)];
    const { raw, hash } = await provider.chain.prepareSettle(claims, provider.address);
    const restarted = chainOf(rig.rpc, rig.network, provider.identity);
    const receipt = await restarted.submit(raw, claims, never);
    assert.deepEqual(receipt, { hash, paid: [myst], credited: 0n });
    assert.deepEqual(await provider.chain.submit(raw, claims, never), receipt);
    assert.equal(await nonceOf(provider.address), 1);
  });

  test("two that are prepared at once do not get in each other's way", async () => {
    const provider = await rig.person();
    const claims = [1n, 2n, 3n].map((amount) => [promised(rig.network, payer, provider, amount * myst)]);
    const made = await Promise.all(claims.map((batch) => provider.chain.prepareSettle(batch, provider.address)));
    assert.deepEqual(made.map(({ nonce }) => nonce).sort(), [0, 1, 2]);
    const receipts = await Promise.all(made.map(({ raw }, i) => provider.chain.submit(raw, claims[i] ?? [], never)));
    assert.deepEqual(
      receipts.map(({ paid }) => paid[0]),
      [myst, 2n * myst, 3n * myst],
    );
  });

  test("one whose nonce another took is dead, and said so", async () => {
    const provider = await rig.person();
    const claims = [promised(rig.network, payer, provider, myst)];
    const { raw, nonce } = await provider.chain.prepareSettle(claims, provider.address);
    const replacement = await provider.chain.prepareSettle(claims, provider.address, { nonce });
    assert.equal(replacement.nonce, nonce);
    assert.notEqual(replacement.raw, raw);
    assert.deepEqual((await provider.chain.submit(replacement.raw, claims, never)).paid, [myst]);
    const dead = await fails(provider.chain.submit(raw, claims, never), "TRANSACTION_FAILED");
    assert.equal(dead.meta.replaced, true);
  });

  test("a replacement takes the place of one that waits in the pool", async () => {
    const provider = await rig.person();
    const claims = [promised(rig.network, payer, provider, myst)];
    await rig.ask("evm_setAutomine", false);
    try {
      const { raw, nonce } = await provider.chain.prepareSettle(claims, provider.address);
      const first = provider.chain.submit(raw, claims, never);
      first.catch(() => undefined);
      await until(async () => Number(await rig.ask("eth_getTransactionCount", provider.address, "pending")) === 1);
      const replacement = await provider.chain.prepareSettle(claims, provider.address, { nonce });
      const second = provider.chain.submit(replacement.raw, claims, never);
      await until(async () => (await rig.ask("eth_getTransactionByHash", replacement.hash)) !== null);
      await rig.ask("evm_mine");
      assert.deepEqual((await second).paid, [myst]);
      await fails(first, "TRANSACTION_FAILED");
    } finally {
      await rig.ask("evm_setAutomine", true);
    }
  });

  test("any of the variants of one nonce may be mined, and the followed one is told by that", async () => {
    const provider = await rig.person();
    const claims = [promised(rig.network, payer, provider, myst)];
    const first = await provider.chain.prepareSettle(claims, provider.address);
    const second = await provider.chain.prepareSettle(claims, provider.address, { nonce: first.nonce });
    await rig.ask("eth_sendRawTransaction", first.raw);
    await until(async () => (await nonceOf(provider.address)) === 1);
    const receipt = await provider.chain.submit(second.raw, claims, never, { earlier: [first.raw] });
    assert.deepEqual(receipt, { hash: first.hash, paid: [myst], credited: 0n });
  });

  test("what a pool does not take for its fees, and what is in no block in time, is given back to be raised", async () => {
    const provider = await rig.person();
    const claims = [promised(rig.network, payer, provider, myst)];
    await rig.ask("evm_setAutomine", false);
    try {
      const { raw, nonce } = await provider.chain.prepareSettle(claims, provider.address);
      assert.equal(await provider.chain.raise(raw), undefined, "its fees are enough");
      await fails(provider.chain.submit(raw, claims, never, { patienceMs: 100 }), "TRANSACTION_STUCK");
      await rig.ask("anvil_setNextBlockBaseFeePerGas", `0x${(50n * 10n ** 9n).toString(16)}`);
      await rig.ask("evm_mine");
      assert.equal(await nonceOf(provider.address), 0);
      const raised = await provider.chain.raise(raw);
      assert.ok(raised);
      assert.equal(raised.nonce, nonce);
      const submitted = provider.chain.submit(raised.raw, claims, never, { earlier: [raw] });
      await until(async () => (await rig.ask("eth_getTransactionByHash", raised.hash)) !== null);
      await rig.ask("evm_mine");
      assert.equal((await submitted).hash, raised.hash);
    } finally {
      await rig.ask("evm_setAutomine", true);
    }
  });

  test("one that waits for another that nobody has is said to be lost", async () => {
    const provider = await rig.person();
    const claims = [promised(rig.network, payer, provider, myst)];
    await rig.ask("evm_setAutomine", false);
    try {
      await provider.chain.prepareSettle(claims, provider.address);
      const second = await provider.chain.prepareSettle(claims, provider.address);
      assert.equal(second.nonce, 1);
      await fails(provider.chain.raise(second.raw), "TRANSACTION_FAILED");
    } finally {
      await rig.ask("evm_setAutomine", true);
    }
  });

  test("a transaction that would cost more than it may is not made", async () => {
    const provider = await rig.person(0n, { coinPrice: myst });
    const claims = [promised(rig.network, payer, provider, myst)];
    await fails(provider.chain.prepareSettle(claims, provider.address, { maxCost: 1n }), "GAS_PRICE_HIGH");
    const { first, next } = await provider.chain.costs();
    assert.ok(first > next && next > 0n);
    await provider.chain.prepareSettle(claims, provider.address, { maxCost: 2n * first });
  });

  test("an RPC that is away for a while is waited for once the transaction is out", async () => {
    const provider = await rig.person();
    const claims = [promised(rig.network, payer, provider, myst)];
    await using gate = await startGate(rig.rpc);
    const behind = chainOf(gate.url, rig.network, provider.identity);
    await fails(behind.prepareSettle(claims, provider.address), "RPC_UNREACHABLE");
    gate.open = true;
    const { raw, hash } = await behind.prepareSettle(claims, provider.address);
    gate.open = false;
    await fails(behind.submit(raw, claims, never), "RPC_UNREACHABLE");
    gate.open = true;
    await rig.ask("evm_setAutomine", false);
    const submitted = behind.submit(raw, claims, never);
    await until(async () => (await rig.ask("eth_getTransactionByHash", hash)) !== null);
    gate.open = false;
    await wait(600);
    await rig.ask("evm_setAutomine", true);
    await rig.ask("evm_mine");
    gate.open = true;
    assert.deepEqual((await submitted).paid, [myst]);
  });

  test("waiting ends with its signal", async () => {
    const provider = await rig.person();
    const claims = [promised(rig.network, payer, provider, myst)];
    await rig.ask("evm_setAutomine", false);
    try {
      const { raw } = await provider.chain.prepareSettle(claims, provider.address);
      await fails(provider.chain.submit(raw, claims, AbortSignal.timeout(150)), "INTERRUPTED");
    } finally {
      await rig.ask("evm_setAutomine", true);
      await rig.ask("evm_mine");
    }
  });
});

describe("chain: confirmations", (test, { before, after }) => {
  let rig: Rig;
  before(async () => {
    rig = await startRig({ confirmations: 3 });
  });
  after(async () => rig[Symbol.asyncDispose]());

  test("nothing counts before it is deep enough, and what a reorg undid is sent again", async () => {
    const payer = await rig.person(100n * myst, { confirmations: 0 });
    const provider = await rig.person();
    await payer.chain.deposit(10n * myst, myst);
    assert.equal((await provider.chain.account(payer.address)).balance, 0n);
    await rig.ask("anvil_mine", "0x3");
    assert.equal((await provider.chain.account(payer.address)).balance, 10n * myst);

    const claims = [promised(rig.network, payer, provider, myst)];
    const { raw, hash } = await provider.chain.prepareSettle(claims, provider.address);
    let ended = false;
    const submitted = provider.chain.submit(raw, claims, never).finally(() => {
      ended = true;
    });
    const isMined = async () => (await rig.ask("eth_getTransactionReceipt", hash)) !== null;
    await until(isMined);
    await rig.ask("anvil_mine", "0x2");
    await wait(200);
    assert.equal(ended, false, "two blocks on top are not enough");
    await rig.ask("anvil_reorg", 3, []);
    assert.equal(await isMined(), false, "the reorg has dropped it");
    await provider.chain.submit(raw, claims, AbortSignal.timeout(100)).catch(() => undefined);
    await until(isMined);
    await rig.ask("anvil_mine", "0x3");
    assert.deepEqual((await submitted).paid, [myst]);
  });
});
