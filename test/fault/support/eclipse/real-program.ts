import { everybody } from "../../../../src/discovery/announcers.ts";
import { placementKeys } from "../../../../src/discovery/protocol.ts";
import { createIdentity } from "../../../../src/identity/identity.ts";
import { peerAddress } from "../../../../src/identity/peer.ts";
import { systemClock } from "../../../../src/lib/clock.ts";
import type { Hex } from "../../../../src/lib/codec.ts";
import { content, startTrader, type Trader } from "../../../net/discovery/market.ts";
import { startPeer } from "../../../net/support.ts";
import { answerParent } from "../../../support/forked.ts";
import { dialFrom } from "../own-addresses.ts";
import { country, type Place, type RealAnswer, type RealTask, whereOf } from "./real-peers.ts";
import { type Ring, runSybil, signFor } from "./sybil.ts";

const honest = new Set<Hex>();
let areBonded = false;
const standing = (address: Hex) => (honest.has(address) || areBonded ? "bonded" : "unbonded");
const options = {
  announcers: { ...everybody, standing },
  isBonded: (peer: string) => standing(peerAddress(peer)) === "bonded",
};
const traders: Trader[] = [];

async function startHonest(place: Place, bootstrap: string[]): Promise<void> {
  const identity = createIdentity(place.key);
  const trader = await startTrader({ ...options, identity, bootstrap, listen: place.isConsumer ? [] : [whereOf(place)] });
  traders.push(trader);
  if (place.isExit) await trader.discovery.announce(content(country, BigInt(50 + Math.floor(Math.random() * 100))));
}

async function startSybil(place: Place, all: readonly Place[], victims: string[]): Promise<void> {
  const identity = createIdentity(place.key);
  const { network } = await startPeer({ identity, listen: [whereOf(place)], bootstrap: [], clientMode: true });
  const ring: Ring = { offers: new Map(), country };
  for (const other of all) {
    const one = createIdentity(other.key);
    ring.offers.set(one.peerId, signFor(one, [`${whereOf(other)}/p2p/${one.peerId}`], ring, systemClock.nowMs()));
  }
  const never = new AbortController().signal;
  const offer = { peer: identity.peerId, country, services: [{ kind: "proxy", perGiB: 0n, perHour: 0n }] };
  for (const key of placementKeys(offer, systemClock.nowMs())) void network.provide(key, never);
  void runSybil({ identity, network, clock: systemClock, swallows: true }, ring, never);
  for (const address of victims)
    void network.connect(address.replace(/.*\/p2p\//, ""), [address], AbortSignal.timeout(20_000)).catch(() => undefined);
}

answerParent<RealTask, RealAnswer>(async (task) => {
  if (task.type === "start") {
    for (const address of task.honest) honest.add(address);
    ({ areBonded } = task);
    dialFrom(task.places.map(({ ip }) => ip));
    for (const place of task.places)
      if (task.sybils) await startSybil(place, task.sybils, task.bootstrap);
      else await startHonest(place, task.bootstrap);
  }
  if (task.type !== "search") return { found: false, honest: 0, sybils: 0 };
  const found = (await traders[0]?.discovery.search({ country, service: "proxy" }, AbortSignal.timeout(20_000))) ?? [];
  const good = found.filter(({ offer }) => honest.has(offer.address)).length;
  return { found: good > 0, honest: good, sybils: found.length - good };
});
