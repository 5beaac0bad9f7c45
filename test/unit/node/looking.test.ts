import assert from "node:assert/strict";
import type { KnownOffer } from "../../../src/discovery/discovery.ts";
import { lookForExits } from "../../../src/node/looking.ts";
import type { ExitChange, ExitView } from "../../../src/node/types.ts";
import { describe } from "../../support/harness.ts";
import { identity, signedBy } from "../discovery/offers.ts";

const known = (number: number, change: Parameters<typeof signedBy>[1] = {}): KnownOffer => ({
  ...signedBy(identity(number), change),
  sources: ["gossip"],
});
const both = [
  { kind: "proxy", perGiB: 1n, perHour: 1n },
  { kind: "wireguard", perGiB: 2n, perHour: 1n },
];
const never = new AbortController().signal;
const textOf = (change: ExitChange) =>
  change.type === "exit" ? `${change.exit.service} ${change.exit.perGiB} ${change.exit.sessions}` : `gone ${change.service}`;

/** Those with more services are thought more of. */
const judging = {
  shown: async (exits: ExitView[]) => exits.map((exit) => ({ ...exit, score: exits.filter(({ peer }) => peer === exit.peer).length / 2 })),
};

/** What is offered changes each time a second passes. */
function market(...moments: KnownOffer[][]) {
  let now = 0;
  const discovery = {
    sweep: async function* () {
      yield* moments[0] ?? [];
    },
    offers: () => moments[Math.min(now, moments.length - 1)] ?? [],
  };
  const stop = new AbortController();
  const clock = {
    sleep: async () => {
      now += 1;
      if (now > moments.length) stop.abort();
    },
  };
  return { discovery, clock, stop: stop.signal };
}
const all = async ({ discovery, clock, stop }: ReturnType<typeof market>, options: Parameters<typeof lookForExits>[2]) => {
  const told: string[] = [];
  for await (const change of lookForExits({ discovery, judging }, clock, options, stop)) told.push(textOf(change));
  return told;
};

describe("node/looking", (test) => {
  test("each service of each exit, once, though it is announced again and again; then the end", async () => {
    const again = known(1, { services: both, seq: 2_000_000_000_000n, expiresMs: 2_000_000_000_000 });
    assert.deepEqual(await all(market([known(1, { services: both }), again]), {}), ["proxy 1 0", "wireguard 2 0"]);
    assert.deepEqual(await all(market([known(1, { services: both })]), { service: "wireguard" }), ["wireguard 2 0"]);
  });

  test("followed: what changes, what comes and what goes", async () => {
    const one = known(1, { services: both.slice(0, 1) });
    const moments = [
      [one],
      [one],
      [known(1, { services: both.slice(0, 1), sessions: 3 })],
      [known(1, { services: both.slice(1), sessions: 3 })],
      [],
    ];
    assert.deepEqual(await all(market(...moments), { follow: true }), [
      "proxy 1 0",
      "proxy 1 3",
      "wireguard 2 3",
      "gone proxy",
      "gone wireguard",
    ]);
  });

  test("only those of which enough is thought", async () => {
    const offered = [known(1, { services: both.slice(0, 1) }), known(2, { services: both })];
    assert.deepEqual(await all(market(offered), { minScore: 0.6 }), ["proxy 1 0", "wireguard 2 0"]);
    assert.equal((await all(market(offered), { minScore: 0.5 })).length, 3);
  });

  test("who goes away ends it", async () => {
    const { discovery, clock } = market([known(1)], [known(2)]);
    const left = AbortSignal.abort();
    const told: ExitChange[] = [];
    for await (const change of lookForExits({ discovery, judging }, clock, { follow: true, signal: left }, never)) told.push(change);
    assert.equal(told.length, 1);
  });
});
