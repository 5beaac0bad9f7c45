import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../src/lib/clock.ts";
import { silentLogger } from "../../src/lib/ports.ts";
import { openStore } from "../../src/lib/store.ts";
import { watchChain } from "../../src/node/watching.ts";
import { clearingDomain } from "../../src/payments/eip712.ts";
import { channelId } from "../../src/payments/promise.ts";
import { openProviderLedger } from "../../src/payments/provider-ledger.ts";
import { describe } from "../support/harness.ts";
import { myst, promised, type Rig, startRig } from "./rig.ts";

describe("node: what it does about events of the contract", (test, { before, after }) => {
  let rig: Rig;
  before(async () => {
    rig = await startRig();
  });
  after(async () => {
    await rig[Symbol.asyncDispose]();
  });

  test("takes in what was cleared for it elsewhere, and clears a payer that closes", async () => {
    const directory = await mkdtemp(join(tmpdir(), "mystnode-watching-"));
    const store = await openStore(directory);
    const [payer, provider] = [await rig.person(20n * myst), await rig.person()];
    await payer.chain.deposit(10n * myst, 2n * myst);
    const ledger = await openProviderLedger({ store, self: provider.address, clock: systemClock }, clearingDomain(rig.network));
    const claim = promised(rig.network, payer, provider, myst / 10n);
    const { signer, salt, ...rest } = claim;
    const ref = { signer: payer.address, channel: channelId(provider.address, claim.salt) };
    await ledger.rememberAccount(payer.address, await provider.chain.account(payer.address));
    const accepted = await ledger.accept(
      { signer, peer: payer.identity.peerId, salt, promise: { ...rest, channel: ref.channel }, consumed: 0n },
      { chainReachable: true, limits: { maxUnsettled: myst, minBond: 0n } },
    );
    assert.deepEqual(accepted, { accepted: true, fresh: true });

    const asked: string[] = [];
    const paid: bigint[] = [];
    const watching = watchChain(
      {
        chain: provider.chain,
        ledger,
        settler: { requestSettle: (reason, _, cause) => asked.push(`${reason}: ${cause}`), reorganised: async () => undefined },
        store,
        clock: systemClock,
        log: silentLogger,
        onPaid: (_, paidInAll) => paid.push(paidInAll),
      },
      { startBlock: rig.network.startBlock, everyMs: 3_600_000 },
    );
    try {
      await watching.poll();
      assert.deepEqual([asked, paid], [[], []]);
      await payer.chain.close();
      await watching.poll();
      assert.deepEqual(asked, ["the payer closes its account: close"]);
      assert.ok(ledger.account(payer.address)?.closeAtMs);

      const { raw } = await provider.chain.prepareSettle([claim], provider.address);
      await provider.chain.submit(raw, [claim], AbortSignal.timeout(20_000));
      await watching.poll();
      assert.deepEqual(paid, [myst / 10n]);
      assert.equal(ledger.channel(ref)?.paid, myst / 10n);
      assert.equal(asked.length, 1);
    } finally {
      await watching.stop();
      await store.close();
      await rm(directory, { recursive: true });
    }
  });
});
