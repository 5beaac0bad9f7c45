import assert from "node:assert/strict";
import { describe } from "../support/harness.ts";
import { fails, myst, promised, type Rig, startRig } from "./rig.ts";

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
