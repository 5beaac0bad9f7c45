import assert from "node:assert/strict";
import { openAnnouncers } from "../../../src/discovery/announcers.ts";
import type { Hex } from "../../../src/lib/codec.ts";
import { describe } from "../../support/harness.ts";
import { fakeClock, memoryStore } from "./offers.ts";

const address = (number: number): Hex => `0x${number.toString(16).padStart(40, "0")}`;
const [rich, poor] = [address(1), address(2)];
const signal = () => AbortSignal.timeout(10_000);

async function open({ store = memoryStore(), clock = fakeClock() } = {}) {
  const asked: Hex[] = [];
  const chain = { reachable: true, bonded: new Set<Hex>([rich]) };
  const isBonded = async (signer: Hex) => {
    asked.push(signer);
    if (!chain.reachable) throw new Error("no RPC answers");
    return chain.bonded.has(signer);
  };
  return { store, clock, asked, chain, announcers: await openAnnouncers({ store, clock, isBonded }) };
}

describe("discovery/announcers", (test) => {
  test("unknown until the chain was asked; asked once for a while, sooner again for who had no bond", async () => {
    const { announcers, asked, clock, chain } = await open();
    assert.equal(announcers.standing(rich), "unknown");
    await announcers.check([rich, poor, rich], signal());
    assert.equal(announcers.standing(rich), "bonded");
    assert.equal(announcers.standing(poor), "unbonded");
    await announcers.check([rich, poor], signal());
    assert.deepEqual(asked, [rich, poor]);
    chain.bonded.add(poor);
    clock.pass(120_000);
    assert.equal(announcers.standing(poor), "unknown");
    await announcers.check([rich, poor], signal());
    assert.equal(announcers.standing(poor), "bonded");
    assert.deepEqual(asked, [rich, poor, poor]);
    chain.bonded.clear();
    clock.pass(3_600_000);
    await announcers.check([rich], signal());
    assert.equal(announcers.standing(rich), "unbonded");
  });

  test("with no RPC nothing is found out, and who had a bond lately counts on, also after a restart", async () => {
    const { announcers, clock, store } = await open();
    await announcers.check([rich, poor], signal());
    await announcers.save();
    clock.pass(24 * 3_600_000);
    const again = await open({ store, clock });
    again.chain.reachable = false;
    await again.announcers.check([rich, poor], signal());
    assert.equal(again.announcers.standing(rich), "bonded");
    assert.equal(again.announcers.standing(poor), "unknown");
    const { length } = again.asked;
    await again.announcers.check([rich, poor], signal());
    assert.equal(again.asked.length, length, "it does not ask again at once where nobody answers");
    clock.pass(7 * 24 * 3_600_000);
    assert.equal(again.announcers.standing(rich), "unknown");
  });

  test("whoever announces whatever, the chain is asked so often and no more", async () => {
    const { announcers, asked, clock } = await open();
    for (let round = 0; round < 20; round++)
      await announcers.check(
        Array.from({ length: 50 }, (_, index) => address(1000 + round * 50 + index)),
        signal(),
      );
    assert.equal(asked.length, 64);
    clock.pass(10_000);
    await announcers.check(
      Array.from({ length: 50 }, (_, index) => address(5000 + index)),
      signal(),
    );
    assert.equal(asked.length, 84);
  });

  test("whom the contract's events name nobody is asked for", async () => {
    const asked: Hex[] = [];
    const announcers = await openAnnouncers({
      ...{ store: memoryStore(), clock: fakeClock() },
      isBonded: async (signer) => asked.push(signer) > 100,
      registry: async (signer) => signer === rich,
    });
    await announcers.review([rich, poor]);
    assert.deepEqual([announcers.standing(rich), announcers.standing(poor), asked.length], ["bonded", "unknown", 0]);
    await announcers.check([rich, poor], signal());
    assert.deepEqual([announcers.standing(poor), asked], ["unbonded", [poor]]);
  });

  test("a question that does not come back holds nobody up for longer than they wish", async () => {
    const announcers = await openAnnouncers({ store: memoryStore(), clock: fakeClock(), isBonded: () => new Promise(() => undefined) });
    await announcers.check([rich], AbortSignal.timeout(20));
    assert.equal(announcers.standing(rich), "unknown");
  });
});
