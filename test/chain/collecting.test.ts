import assert from "node:assert/strict";
import { systemClock } from "../../src/lib/clock.ts";
import { silentLogger } from "../../src/lib/ports.ts";
import { collectCredit } from "../../src/node/collecting.ts";
import { describe } from "../support/harness.ts";
import { frozenToken } from "./frozen-token.ts";
import { fails, myst, type Person, promised, type Rig, startRig } from "./rig.ts";

describe("node: what the contract keeps for us", (test, { before, after }) => {
  let rig: Rig;
  let payer: Person;
  before(async () => {
    rig = await startRig();
    payer = await rig.person(20n * myst);
    await payer.chain.deposit(10n * myst, 2n * myst);
  });
  after(async () => rig[Symbol.asyncDispose]());

  test("stays there while the token lets nothing out, nothing being sent, and is taken out when it does and when it is worth the gas", async () => {
    const provider = await rig.person();
    const token = await frozenToken(rig);
    const claims = [promised(rig.network, payer, provider, myst)];
    await token.freeze();
    const { raw } = await provider.chain.prepareSettle(claims, provider.address);
    const receipt = await provider.chain.submit(raw, claims, AbortSignal.timeout(20_000));
    assert.deepEqual([receipt.paid, receipt.credited], [[myst], myst]);
    const nonce = () => rig.ask("eth_getTransactionCount", provider.address, "latest");
    const before = await nonce();
    const deps = {
      ...{ address: provider.address, payout: provider.address, clock: systemClock, log: silentLogger },
      signal: new AbortController().signal,
    };
    await fails(collectCredit({ ...deps, chain: provider.chain }), "TRANSACTION_FAILED");
    assert.equal(await nonce(), before);
    await token.thaw();
    const dear = { ...provider.chain, costs: async () => ({ first: myst / 19n, next: 0n }) };
    await collectCredit({ ...deps, chain: dear });
    assert.equal(await provider.chain.credit(provider.address), myst);
    await collectCredit({ ...deps, chain: provider.chain });
    assert.deepEqual([await provider.chain.credit(provider.address), (await provider.chain.balances(provider.address)).tokens], [0n, myst]);
  });
});
