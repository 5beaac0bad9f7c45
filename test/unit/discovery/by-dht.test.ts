import assert from "node:assert/strict";
import { lookInDht } from "../../../src/discovery/by-dht.ts";
import { encodeOffer } from "../../../src/discovery/offer.ts";
import { silentLogger } from "../../../src/lib/ports.ts";
import { describe } from "../../support/harness.ts";
import { createVirtualClock, type VirtualClock } from "../../support/simulation/clock.ts";
import { identity, signedBy, startMs } from "./offers.ts";

const exit = identity(1);

describe("discovery/by-dht: the shards of a country are looked in one after the other", (test) => {
  /** `lookup`: what looking under the key that is looked under as the given one finds, within the signal. */
  const look = async (lookup: (turn: number, clock: VirtualClock, signal: AbortSignal) => Promise<boolean>) => {
    const clock = createVirtualClock(startMs);
    const beganMs: number[] = [];
    const keys = new Set<string>();
    const ending = new AbortController();
    const taken: string[] = [];
    const network = {
      peerId: "me",
      async *findProviders(key: Uint8Array, signal: AbortSignal) {
        keys.add(new TextDecoder().decode(key));
        beganMs.push(clock.nowMs() - startMs);
        if (await lookup(beganMs.length, clock, signal)) yield { peer: exit.peerId, addresses: ["/ip4/45.1.2.3/tcp/4480"] };
      },
      connect: async () => undefined,
      ask: async () => encodeOffer(signedBy(exit)),
    };
    const takeBytes = (_: Uint8Array, source: string) => {
      taken.push(source);
      ending.abort();
      return true;
    };
    const deps = { network, clock, log: silentLogger, intake: { take: () => false, takeBytes } };
    await clock.until(lookInDht(deps, { country: "US" }, ending.signal));
    return { beganMs, keys: keys.size, taken };
  };
  const never = (clock: VirtualClock, signal: AbortSignal) => clock.sleep(60_000, signal).then(Boolean, () => false);

  test("who has found an exit in the first spares the others", async () => {
    const { beganMs, taken } = await look((_, clock) => clock.sleep(150).then(() => true));
    assert.deepEqual([beganMs, taken], [[0], ["dht"]]);
  });

  test("a slow one keeps nobody from the next, which begin at intervals", async () => {
    const { beganMs, keys, taken } = await look((turn, clock, signal) => (turn === 4 ? Promise.resolve(true) : never(clock, signal)));
    assert.deepEqual([beganMs, keys, taken], [[0, 200, 400, 600], 4, ["dht"]]);
  });

  test("one that has ended without an exit is followed at once; all are looked in", async () => {
    const { beganMs, keys, taken } = await look((_, clock) => clock.sleep(30).then(() => false));
    assert.deepEqual([beganMs, keys, taken], [[0, 30, 60, 90], 4, []]);
  });
});
