import assert from "node:assert/strict";
import { silentLogger } from "../../../src/lib/ports.ts";
import { signPromise } from "../../../src/payments/promise.ts";
import { openProviderLedger } from "../../../src/payments/provider-ledger.ts";
import { type AcceptingDeps, decideOn } from "../../../src/session/accepting.ts";
import { describe } from "../../support/harness.ts";
import { account, channel, clockAt, domain, memoryStore, nowMs, payer, provider, salt } from "../payments/fixtures.ts";

const ref = { signer: payer.address, channel };
/** 5,000 promised in all, of which the contract has paid 4,000, here or elsewhere. */
const view = () => account({ balance: 996_000n });
const offer = () => {
  const promise = signPromise(domain, payer, { channel, cumulative: 5_000n, total: 5_000n, seq: BigInt(nowMs) << 20n });
  return { ...ref, peer: payer.peerId, salt, promise, consumed: 0n };
};
const depsOf = async (over: Partial<AcceptingDeps>): Promise<AcceptingDeps> => ({
  ledger: await openProviderLedger({ store: memoryStore(), self: provider.address, clock: clockAt() }, domain),
  settler: { relieve: async () => ({ claims: 0, paid: 0n }) as never, overdue: () => false },
  readAccount: async () => view(),
  readPaid: async () => 0n,
  limits: { maxUnsettled: 50_000n, minBond: 0n },
  clock: clockAt(),
  log: silentLogger,
  ...over,
});

describe("session/accepting: what the chain is asked", (test) => {
  test("a provider that has lost a channel asks the contract what it has had of it, or it would take its payer for a liar", async () => {
    const deps = await depsOf({ readPaid: async () => 4_000n });
    assert.deepEqual(await decideOn(deps, offer()), { accepted: true, fresh: true });
    assert.equal(deps.ledger.channel(ref)?.paid, 4_000n);
    assert.equal(deps.ledger.unsettled(payer.address), 1_000n);
  });

  test("the chain is asked about a payer once, not for each promise that it does not cover", async () => {
    let reads = 0;
    const clock = clockAt();
    const readAccount = async () => {
      reads += 1;
      return { ...view(), readAtMs: clock.nowMs() };
    };
    const deps = await depsOf({ readAccount, clock });
    const over = () => ({ ...offer(), promise: { ...offer().promise, total: 2_000_000n } });
    for (let i = 0; i < 10; i += 1) assert.deepEqual(await decideOn(deps, over()), { accepted: false, refusal: "over-line" });
    assert.equal(reads, 1);
    clock.ms += 2_000;
    await decideOn(deps, over());
    assert.equal(reads, 2);
  });

  test("who has paid that much elsewhere and says nothing of it is refused, and so is everybody while nobody can be asked", async () => {
    const refused = { accepted: false, refusal: "total-low" };
    assert.deepEqual(await decideOn(await depsOf({}), offer()), refused);
    const unreachable = async () => {
      throw new Error("no RPC");
    };
    assert.deepEqual(await decideOn(await depsOf({ readPaid: unreachable }), offer()), refused);
  });
});
