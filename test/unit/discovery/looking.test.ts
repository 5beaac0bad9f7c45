import assert from "node:assert/strict";
import { type Announcers, everybody, type Standing } from "../../../src/discovery/announcers.ts";
import type { KnownOffer, OfferListener, OfferQuery } from "../../../src/discovery/discovery.ts";
import { createLooking } from "../../../src/discovery/looking.ts";
import { rank } from "../../../src/discovery/rank.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { describe } from "../../support/harness.ts";
import { identity, signedBy } from "./offers.ts";

const known = (number: number, perGiB = BigInt(number), change = {}): KnownOffer => ({
  ...signedBy(identity(number), { services: [{ kind: "proxy", perGiB, perHour: 0n }], expiresMs: Date.now() + 600_000, ...change }),
  sources: ["gossip"],
});
const signal = () => AbortSignal.timeout(10_000);

function start({ standing = (): Standing => "bonded", check }: { standing?: Announcers["standing"]; check?: Announcers["check"] } = {}) {
  const held = new Map<string, KnownOffer>();
  const listeners = new Set<OfferListener>();
  let rounds = 0;
  let round: () => Promise<void> = async () => undefined;
  const looking = createLooking({
    offers: (query: OfferQuery) =>
      rank(
        [...held.values()].filter(({ offer }) => standing(offer.address) !== "unbonded"),
        query,
      ),
    onOffer: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    fits: () => true,
    newsMs: () => 0,
    finder: {
      look: async () => undefined,
      isHearing: () => false,
      round: () => {
        rounds += 1;
        return round();
      },
    },
    network: { peers: () => [{ peer: "somebody", addresses: [], direction: "outbound" }] },
    announcers: { ...everybody, standing, check: check ?? everybody.check },
    clock: systemClock,
  });
  const take = (one: KnownOffer) => {
    held.set(one.offer.peer, one);
    for (const listener of [...listeners]) listener(one, "gossip");
  };
  return {
    ...looking,
    take,
    rounds: () => rounds,
    inRound: (work: () => Promise<void>) => {
      round = work;
    },
    listening: () => listeners.size,
  };
}
const pricesOf = (offers: KnownOffer[]) => offers.map(({ offer }) => offer.services[0]?.perGiB);

describe("discovery/looking", (test) => {
  test("a sweep tells what is known, then what comes, and ends when every source has said all", async () => {
    const { sweep, take, inRound, rounds, listening } = start();
    take(known(1));
    inRound(async () => {
      await systemClock.sleep(20);
      take(known(rounds() + 1));
    });
    const found: KnownOffer[] = [];
    for await (const one of sweep({}, signal())) found.push(one);
    assert.deepEqual(pricesOf(found), [1n, 2n, 3n]);
    assert.equal(rounds(), 2);
    assert.equal(listening(), 0);
  });

  test("a source that never ends does not hold up a sweep that has found something; the caller's signal ends any", async () => {
    const { sweep, take, inRound } = start();
    inRound(() => new Promise(() => undefined));
    const none: KnownOffer[] = [];
    for await (const one of sweep({}, AbortSignal.timeout(100))) none.push(one);
    assert.deepEqual(none, []);
    take(known(1));
    const found: KnownOffer[] = [];
    for await (const one of sweep({}, signal())) found.push(one);
    assert.equal(found.length, 1);
  });

  test("a search asks whether those at the top have a bond, again while some fall out; whom nobody knows comes last", async () => {
    const standings = new Map<string, Standing>();
    const asked: number[] = [];
    const { search, take } = start({
      standing: (address) => standings.get(address) ?? "unknown",
      check: async (addresses) => {
        const all = [...addresses];
        asked.push(all.length);
        // the 40 cheapest have none
        for (const address of all) standings.set(address, cheap.has(address) ? "unbonded" : "bonded");
      },
    });
    const cheap = new Set<string>(Array.from({ length: 40 }, (_, index) => identity(index + 1).address));
    for (let number = 1; number <= 60; number++) take(known(number));
    const found = await search({}, signal());
    assert.deepEqual(pricesOf(found).slice(0, 3), [41n, 42n, 43n]);
    assert.deepEqual(asked.slice(0, 3), [16, 16, 16]);
    assert.ok(found.slice(0, 16).every(({ offer }) => standings.get(offer.address) === "bonded"));
  });

  test("an exit that has missed to announce itself anew is left out while there are others", async () => {
    const { search, take } = start();
    const aged = (number: number, minutes: number) =>
      known(number, BigInt(number), { seq: BigInt(number), expiresMs: Date.now() + (10 - minutes) * 60_000 });
    take(aged(1, 6));
    assert.deepEqual(pricesOf(await search({}, signal())), [1n], "rather than none");
    take(aged(2, 5));
    assert.deepEqual(pricesOf(await search({}, signal())), [2n]);
  });

  test("where the chain cannot be asked a search goes on with those it does not know, after those it does", async () => {
    const { search, take } = start({ standing: (address) => (address === identity(3).address ? "bonded" : "unknown") });
    for (const number of [1, 2, 3]) take(known(number));
    assert.deepEqual(pricesOf(await search({}, signal())), [3n, 1n, 2n]);
  });
});
