import assert from "node:assert/strict";
import { offerValidator } from "../../../src/discovery/by-gossip.ts";
import { openCatalogue } from "../../../src/discovery/catalogue.ts";
import { createIntake } from "../../../src/discovery/intake.ts";
import { encodeOffer, type Offer } from "../../../src/discovery/offer.ts";
import type { Identity } from "../../../src/identity/identity.ts";
import { describe } from "../../support/harness.ts";
import { fakeClock, identity, market, memoryStore, signedBy, startMs } from "./offers.ts";

const [alice, bob] = [identity(1), identity(2)] as const;
const validator = async () => {
  const clock = fakeClock();
  const catalogue = await openCatalogue({ store: memoryStore(), clock, network: market });
  const heard: string[] = [];
  const intake = createIntake({ catalogue, clock, self: "me", onOffer: ({ offer }, source) => heard.push(`${offer.peer} ${source}`) });
  return { clock, catalogue, heard, validate: offerValidator({ catalogue, intake, clock }) };
};
const bytesOf = (owner: Identity, change: Partial<Offer> = {}, network = market) => encodeOffer(signedBy(owner, change, network));

describe("discovery/by-gossip: what to do with an offer", (test) => {
  test("good and new: accepted, held and told; again: passed on, not told", async () => {
    const { validate, heard, catalogue } = await validator();
    assert.equal(validate(bytesOf(alice)), "accept");
    assert.equal(validate(bytesOf(alice)), "accept");
    assert.deepEqual(heard, [`${alice.peerId} gossip`]);
    assert.equal(catalogue.all().length, 1);
  });

  test("no offer, a false signature, another network's: rejected, at the sender's cost", async () => {
    const { validate, catalogue } = await validator();
    assert.equal(validate(Uint8Array.of(1, 2, 3)), "reject");
    assert.equal(validate(encodeOffer({ ...signedBy(alice), signature: signedBy(bob).signature })), "reject");
    assert.equal(validate(bytesOf(alice, {}, { ...market, chainId: 1 })), "reject");
    assert.equal(catalogue.all().length, 0);
  });

  test("late, early, overtaken: ignored, since an honest neighbour may pass it on", async () => {
    const { validate } = await validator();
    assert.equal(validate(bytesOf(alice, { expiresMs: startMs })), "ignore");
    assert.equal(validate(bytesOf(alice, { expiresMs: startMs + 3_600_000 })), "ignore");
    assert.equal(validate(bytesOf(alice, { seq: 10n })), "accept");
    assert.equal(validate(bytesOf(alice, { seq: 9n })), "ignore");
    // the same content with a signature that is not checked any more must not be passed on either
    assert.equal(validate(encodeOffer({ ...signedBy(alice, { seq: 10n }), signature: signedBy(bob).signature })), "ignore");
  });

  test("an exit that says too much is ignored until a while has passed; others are heard", async () => {
    const { validate, clock } = await validator();
    const verdicts = Array.from({ length: 20 }, (_, index) => validate(bytesOf(alice, { seq: BigInt(index + 1) })));
    const heard = verdicts.filter((verdict) => verdict === "accept").length;
    assert.ok(heard >= 4 && heard < 20, `${heard} of 20`);
    assert.equal(verdicts.at(-1), "ignore");
    assert.equal(validate(bytesOf(bob)), "accept");
    clock.pass(10_000);
    assert.equal(validate(bytesOf(alice, { seq: 100n })), "accept");
  });

  test("nobody can use up another's rate with forgeries", async () => {
    const { validate } = await validator();
    for (let seq = 1; seq <= 50; seq++)
      assert.equal(validate(encodeOffer({ ...signedBy(alice, { seq: BigInt(seq) }), signature: signedBy(bob).signature })), "reject");
    assert.equal(validate(bytesOf(alice)), "accept");
  });
});
