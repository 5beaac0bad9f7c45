import assert from "node:assert/strict";
import { encodeFunctionData } from "viem";
import { mystClearingAbi } from "../../src/chain/abi/myst-clearing.ts";
import { claimArgs, signatureWords } from "../../src/chain/claims.ts";
import type { Hex } from "../../src/lib/codec.ts";
import { checkDigest, clearingDomain, promiseDigest } from "../../src/payments/eip712.ts";
import { channelId } from "../../src/payments/promise.ts";
import type { Claim } from "../../src/payments/settlement.ts";
import { describe } from "../support/harness.ts";
import { until } from "../support/until.ts";
import { myst, type Person, promised, type Rig, startRig } from "./rig.ts";

const never = new AbortController().signal;

describe("chain: clearing", (test, { before, after }) => {
  let rig: Rig;
  let payer: Person;
  let provider: Person;

  before(async () => {
    rig = await startRig();
    payer = await rig.person(50n * myst);
    provider = await rig.person();
    await payer.chain.deposit(20n * myst, 2n * myst);
  });
  after(async () => rig[Symbol.asyncDispose]());

  const settle = async (claims: Claim[], to = provider.address) => {
    const { raw } = await provider.chain.prepareSettle(claims, to);
    return provider.chain.submit(raw, claims, never);
  };

  test("a deposit is seen as it was made", async () => {
    const account = await provider.chain.account(payer.address);
    assert.equal(account.balance, 20n * myst);
    assert.equal(account.line, 20n * myst);
    assert.equal(account.bond, 2n * myst);
    assert.equal(account.closeAtMs, undefined);
    assert.equal(account.owner, payer.address);
  });

  test("a batch pays each claim once, and says what it skipped", async () => {
    const before = await provider.chain.balances(provider.address);
    const first = promised(rig.network, payer, provider, 3n * myst);
    const forged = { ...promised(rig.network, payer, provider, myst), cumulative: 2n * myst };
    const second = promised(rig.network, payer, provider, 1n);
    const { paid, hash } = await settle([first, forged, second, first]);
    assert.deepEqual(paid, [3n * myst, 0n, 1n, 0n]);
    assert.match(hash, /^0x[0-9a-f]{64}$/);
    const after = await provider.chain.balances(provider.address);
    assert.equal(after.tokens - before.tokens, 3n * myst + 1n);
    assert.equal(await provider.chain.paid(payer.address, channelId(provider.address, first.salt)), 3n * myst);
    assert.equal(await provider.chain.paid(payer.address, channelId(provider.address, forged.salt)), 0n);
  });

  test("a later promise on a channel pays the difference, to another address if so wished", async () => {
    const payout = rig.stranger().address;
    const first = promised(rig.network, payer, provider, myst);
    await settle([first]);
    const later = promised(rig.network, payer, provider, 3n * myst, first.salt);
    assert.deepEqual((await settle([later], payout)).paid, [2n * myst]);
    assert.equal((await provider.chain.balances(payout)).tokens, 2n * myst);
  });

  test("anybody clears with the provider's check, for its fee, and the provider collects", async () => {
    const claim = promised(rig.network, payer, provider, 2n * myst);
    const [submitter] = (await rig.ask("eth_accounts")) as Hex[];
    assert.ok(submitter);
    const domain = clearingDomain(rig.network);
    const promiseHash = promiseDigest(domain, { ...claim, channel: channelId(provider.address, claim.salt) });
    const terms = { to: provider.address, feeBps: 250, deadline: 4102444800n };
    const signature = provider.identity.sign(
      checkDigest(domain, { promiseHash: `0x${Buffer.from(promiseHash).toString("hex")}`, ...terms }),
    );
    const check = { provider: provider.address, ...terms, deadline: Number(terms.deadline), signature: signatureWords(signature) };
    const data = encodeFunctionData({ abi: mystClearingAbi, functionName: "clear", args: [[claimArgs(claim)], [check]] });
    const hash = await rig.ask("eth_sendTransaction", { from: submitter, to: rig.network.contract, data });
    await until(async () => (await rig.ask("eth_getTransactionReceipt", hash)) !== null);
    assert.equal((await provider.chain.balances(submitter)).tokens, myst / 20n);
    assert.equal(await provider.chain.credit(provider.address), (myst * 39n) / 20n);
    const before = await provider.chain.balances(provider.address);
    const { collected } = await provider.chain.collect(provider.address);
    assert.equal(collected, (myst * 39n) / 20n);
    assert.equal((await provider.chain.balances(provider.address)).tokens - before.tokens, collected);
    assert.equal(await provider.chain.credit(provider.address), 0n);
  });

  test("what a balance does not hold is not paid", async () => {
    const poor = await rig.person(3n * myst);
    await poor.chain.deposit(myst, myst);
    const { paid } = await settle([promised(rig.network, poor, provider, 5n * myst)]);
    assert.deepEqual(paid, [myst]);
    assert.equal((await provider.chain.account(poor.address)).balance, 0n);
  });

  test("a promise that contradicts another of its signer is paid an eighth of the bond, and the rest burns", async () => {
    const liar = await rig.person(18n * myst);
    await liar.chain.deposit(10n * myst, 8n * myst);
    const { paid } = await settle([9n, 9n].map((amount) => promised(rig.network, liar, provider, amount * myst)));
    assert.deepEqual(paid, [9n * myst, 2n * myst]);
    const { balance, bond, line } = await provider.chain.account(liar.address);
    assert.deepEqual({ balance, bond, line }, { balance: 0n, bond: 0n, line: 10n * myst });
  });
});
