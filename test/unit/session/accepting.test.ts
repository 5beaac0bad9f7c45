import assert from "node:assert/strict";
import { systemClock } from "../../../src/lib/clock.ts";
import { silentLogger } from "../../../src/lib/ports.ts";
import type { Acceptance, Refusal } from "../../../src/payments/channel.ts";
import type { SignedPromise } from "../../../src/payments/promise.ts";
import type { PromiseOffer, ProviderLedger } from "../../../src/payments/provider-ledger.ts";
import { type AcceptingDeps, decideOn } from "../../../src/session/accepting.ts";
import { describe } from "../../support/harness.ts";
import { account, channel, payer, salt } from "../payments/fixtures.ts";

const promise: SignedPromise = { channel, cumulative: 1n, total: 1n, seq: 1n, signature: new Uint8Array(64) };
const offer: PromiseOffer = { signer: payer.address, peer: payer.peerId, salt, promise, consumed: 0n };
const refused = (refusal: Refusal): Acceptance => ({ accepted: false, refusal });
const taken: Acceptance = { accepted: true, fresh: true };

/** A ledger that answers so, one after the other and then the last again, and what was done between the answers. */
function deciding(answers: Acceptance[], skipMs = 0) {
  const done: string[] = [];
  let asked = 0;
  const ledger = {
    hasCleared: () => true,
    accept: async () => {
      asked += 1;
      return answers[Math.min(asked, answers.length) - 1];
    },
    rememberAccount: async () => undefined,
  } as unknown as ProviderLedger;
  const deps: AcceptingDeps = {
    ledger,
    settler: { relieve: async (signer) => void done.push(signer ? "settle" : "settle all"), overdue: () => false },
    readAccount: async () => {
      done.push("read");
      return account();
    },
    readPaid: async () => 0n,
    limits: { maxUnsettled: 1n, minBond: 0n },
    heads: {
      watch: { sight: () => assert.fail(), take: () => assert.fail() },
      show: async (signer, shown) => void done.push(signer === payer.address && shown === promise ? "show" : "show another"),
      accepted: (ref) => void done.push(ref.channel === channel ? "accepted" : "accepted another"),
    },
    clock: { ...systemClock, nowMs: () => Date.now() + asked * skipMs },
    log: silentLogger,
  };
  return { done, decision: decideOn(deps, offer) };
}

describe("session: deciding on a promise", (test) => {
  test("what others have not seen is shown to them and waited for, without another look at the chain", async () => {
    const { done, decision } = deciding([refused("unseen"), refused("unseen"), taken]);
    assert.deepEqual(await decision, taken);
    assert.deepEqual(done, ["show", "show", "accepted"]);
  });

  test("that is for as long as the payer is patient", async () => {
    const { done, decision } = deciding([refused("unseen")], 2_000);
    assert.deepEqual(await decision, refused("unseen"));
    assert.ok(done.length > 0 && done.every((what) => what === "show"));
  });

  test("what is found wrong meanwhile ends it at once", async () => {
    const { done, decision } = deciding([refused("unseen"), refused("conflict-known")]);
    assert.deepEqual(await decision, refused("conflict-known"));
    assert.deepEqual(done, ["show"]);
  });

  test("where strangers owe too much together all of them are cleared", async () => {
    const { done, decision } = deciding([refused("strangers"), taken]);
    assert.deepEqual(await decision, taken);
    assert.deepEqual(done, ["settle all", "read", "accepted"]);
  });

  test("a bond that is not worth its gas is under the minimum", async () => {
    const least: bigint[] = [];
    const ledger = {
      hasCleared: () => true,
      accept: async (_: PromiseOffer, { limits }: { limits: { minBond: bigint } }) => {
        least.push(limits.minBond);
        return taken;
      },
    } as unknown as ProviderLedger;
    for (const gas of [undefined, 4n, 6n]) {
      const settler = { relieve: async () => undefined, overdue: () => false, ...(gas !== undefined && { claimGas: () => gas }) };
      const limits = { maxUnsettled: 1n, minBond: 500n };
      await decideOn(
        { ledger, settler, limits, readAccount: async () => account(), readPaid: async () => 0n, clock: systemClock, log: silentLogger },
        offer,
      );
    }
    assert.deepEqual(least, [500n, 500n, 600n]);
  });

  test("one thing after the other helps where several are wrong", async () => {
    const { done, decision } = deciding([refused("over-limit"), refused("unseen"), taken]);
    assert.deepEqual(await decision, taken);
    assert.deepEqual(done, ["settle", "read", "show", "accepted"]);
  });
});
