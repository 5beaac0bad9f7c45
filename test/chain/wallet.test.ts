import assert from "node:assert/strict";
import { approval, closing, consentOf, depositing, type OutsideTransaction, withdrawing } from "../../src/chain/outside.ts";
import { describe } from "../support/harness.ts";
import { fails, myst, promised, type Rig, sendFrom, startRig } from "./rig.ts";

const never = new AbortController().signal;

describe("chain: an owner's account", (test, { before, after }) => {
  let rig: Rig;
  before(async () => {
    rig = await startRig();
  });
  after(async () => rig[Symbol.asyncDispose]());

  test("closes, pays claims while it closes, and gives back the rest after three days", async () => {
    const payer = await rig.person(10n * myst);
    const provider = await rig.person();
    await payer.chain.deposit(4n * myst, myst);
    await fails(payer.chain.withdraw(), "ACCOUNT_OPEN");
    const { closeAtMs } = await payer.chain.close();
    assert.equal((await payer.chain.account(payer.address)).closeAtMs, closeAtMs);
    const early = await fails(payer.chain.withdraw(), "ACCOUNT_CLOSING");
    assert.equal(early.meta.closeAtMs, closeAtMs);
    await fails(payer.chain.close(), "ACCOUNT_CLOSING");
    await fails(payer.chain.deposit(myst, 0n), "ACCOUNT_CLOSING");

    const claim = promised(rig.network, payer, provider, myst);
    const { raw } = await provider.chain.prepareSettle([claim], provider.address);
    assert.deepEqual((await provider.chain.submit(raw, [claim], never)).paid, [myst]);

    await rig.ask("evm_increaseTime", 3 * 86_400);
    await rig.ask("evm_mine");
    assert.equal((await payer.chain.withdraw()).withdrawn, 4n * myst);
    assert.equal((await payer.chain.balances(payer.address)).tokens, 9n * myst);
    await fails(payer.chain.withdraw(), "NO_DEPOSIT");
  });

  test("a later deposit may be small, since the account holds the minimum", async () => {
    const payer = await rig.person(10n * myst);
    await payer.chain.deposit(2n * myst, myst);
    await payer.chain.deposit(1n, 0n);
    assert.equal((await payer.chain.account(payer.address)).line, 2n * myst + 1n);
  });

  test("the owner is ours, the signer may be another key", async () => {
    const owner = await rig.person(10n * myst);
    const signer = rig.stranger();
    await owner.chain.deposit(myst, myst, signer.identity);
    const account = await owner.chain.account(signer.address);
    assert.equal(account.owner, owner.address);
    assert.equal(account.balance, myst);
    const other = await rig.person(10n * myst);
    const refused = await fails(other.chain.deposit(myst, myst, signer.identity), "NOT_OWNER");
    assert.match(refused.message, /another owner/);
    await owner.chain.close(signer.address);
    assert.notEqual((await owner.chain.account(signer.address)).closeAtMs, undefined);
  });

  test("another signer's consent opens its account, and is asked for once", async () => {
    const owner = await rig.person(10n * myst);
    const signer = rig.stranger();
    const { address } = signer;
    await fails(owner.chain.deposit(myst, myst, { address }), "BAD_SIGNATURE");
    const forAnother = consentOf(signer.identity, rig.network, rig.stranger().address);
    const refused = await fails(owner.chain.deposit(myst, myst, { address, consent: forAnother }), "BAD_SIGNATURE");
    assert.match(refused.hint ?? "", /wallet consent 0x/);
    await owner.chain.deposit(myst, myst, { address, consent: consentOf(signer.identity, rig.network, owner.address) });
    await owner.chain.deposit(myst, 0n, { address });
    const { balance, owner: of } = await owner.chain.account(address);
    assert.deepEqual([balance, of], [2n * myst, owner.address]);
    await owner.chain.close(address);
    await rig.ask("evm_increaseTime", 3 * 86_400);
    await rig.ask("evm_mine");
    const to = rig.stranger().address;
    assert.equal((await owner.chain.withdraw(address, to)).withdrawn, 3n * myst);
    assert.equal((await owner.chain.balances(to)).tokens, 3n * myst);
  });

  test("what a wallet elsewhere is told to send opens the account for it, and closes it", async () => {
    const { address, identity } = rig.stranger();
    const owner = await rig.person(10n * myst);
    const consent = consentOf(identity, rig.network, owner.address);
    const send = (transaction: OutsideTransaction) => sendFrom(rig, owner.address, transaction);
    await send(approval(rig.network, 3n * myst));
    await send(depositing(rig.network, { signer: address, amount: 2n * myst, bond: myst, consent }));
    const { line, bond, owner: of } = await owner.chain.account(address);
    assert.deepEqual([line, bond, of], [2n * myst, myst, owner.address]);
    await send(closing(rig.network, address));
    assert.notEqual((await owner.chain.account(address)).closeAtMs, undefined);
    await rig.ask("evm_increaseTime", 3 * 86_400);
    await send(withdrawing(rig.network, address, address));
    assert.equal((await owner.chain.balances(address)).tokens, 3n * myst);
  });

  test("says what is missing before it sends anything", async () => {
    const poor = await rig.person(myst);
    await fails(poor.chain.deposit(myst / 2n, myst), "DEPOSIT_TOO_SMALL");
    await fails(poor.chain.deposit(myst, myst / 2n), "DEPOSIT_TOO_SMALL");
    const funds = await fails(poor.chain.deposit(myst, myst), "INSUFFICIENT_FUNDS");
    assert.match(funds.hint ?? "", new RegExp(`1 MYST to ${poor.address}`));
    await fails(poor.chain.close(), "NO_DEPOSIT");
    await fails(poor.chain.withdraw(), "NO_DEPOSIT");
    await fails(poor.chain.collect(poor.address), "NO_DEPOSIT");
    await fails(poor.chain.deposit(2n ** 96n, myst), "BAD_AMOUNT");
  });

  test("says so when there is no coin for fees", async () => {
    const broke = await rig.person(10n * myst);
    await rig.ask("anvil_setBalance", broke.address, "0x1");
    const refused = await fails(broke.chain.deposit(myst, myst), "INSUFFICIENT_GAS");
    assert.match(refused.hint ?? "", new RegExp(broke.address));
    await fails(broke.chain.prepareSettle([], broke.address), "INSUFFICIENT_GAS");
  });
});

describe("chain: approvals", (test, { before, after }) => {
  let rig: Rig;
  let code: string;
  before(async () => {
    rig = await startRig();
    code = String(await rig.ask("eth_getCode", rig.network.token.address, "latest"));
  });
  after(async () => rig[Symbol.asyncDispose]());
  /** how many transactions a deposit takes, and that it arrives */
  const deposited = async (token: string) => {
    await rig.ask("anvil_setCode", rig.network.token.address, token);
    const payer = await rig.person(10n * myst);
    const steps: string[] = [];
    await payer.chain.deposit(2n * myst, myst, payer.identity, { onPrepared: async ({ step }) => void steps.push(step) });
    assert.equal((await payer.chain.account(payer.address)).line, 2n * myst);
    assert.equal(Number(await rig.ask("eth_getTransactionCount", payer.address, "latest")), steps.length);
    return steps;
  };
  /** without the function of this selector */
  const lacking = (selector: string) => {
    assert.ok(code.includes(selector));
    return code.replaceAll(selector, "deadbeef");
  };

  test("a token that takes permits needs none", async () => assert.deepEqual(await deposited(code), ["deposit"]));
  test("one that knows no permits is approved first", async () =>
    assert.deepEqual(await deposited(lacking("84b0196e")), ["approve", "deposit"]));
  test("one that only says that it takes them, too", async () =>
    assert.deepEqual(await deposited(lacking("d505accf")), ["approve", "deposit"]));
  test("what was approved already is used", async () => {
    await rig.ask("anvil_setCode", rig.network.token.address, code);
    const payer = await rig.person(10n * myst);
    const { to, data } = approval(rig.network, 3n * myst);
    await sendFrom(rig, payer.address, { to, data });
    const token = await rig.ask("eth_call", { to, data: "0x7ecebe00".concat(payer.address.slice(2).padStart(64, "0")) }, "latest");
    await payer.chain.deposit(2n * myst, myst);
    const after = await rig.ask("eth_call", { to, data: "0x7ecebe00".concat(payer.address.slice(2).padStart(64, "0")) }, "latest");
    assert.equal(after, token, "no permit was used");
  });
});
