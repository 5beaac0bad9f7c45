import { randomBytes } from "node:crypto";
import { type Announcers, everybody, type Standing } from "../../../../src/discovery/announcers.ts";
import { createIdentity, type Identity } from "../../../../src/identity/identity.ts";
import type { Network } from "../../../../src/network/network.ts";
import { createVirtualClock } from "../../../support/simulation/clock.ts";
import { distance, type KadNode, kadIdOf, type Place } from "../../../support/simulation/kademlia.ts";
import { endSimTrader, type SimTrader, startSimTrader } from "../../../support/simulation/market.ts";
import { addressOf, createSimNet } from "../../../support/simulation/net.ts";
import { memoryStore } from "../../../unit/discovery/offers.ts";
import { grindIdentities } from "./grinding.ts";
import { type Ring, runSybil } from "./sybil.ts";

export type Attack = {
  honest: number;
  sybils: number;
  /** of the honest peers, in the country that is attacked */
  exits: number;
  /** they have put up the bond that the network asks for */
  bonded: boolean;
  /** all in one /24, or each in its own */
  spread: boolean;
  tries: number;
  /** for the control: of three bootstrap peers none is honest, instead of one */
  allBootstrapsBad?: boolean;
  /** keys made to come near the places in the DHT */
  grind: number;
};

/** Of each try: was an honest exit among what was found, and how many of what was found were honest. */
export type EclipseTried = { found: boolean; honest: number; sybils: number };

const country = "DE";
const tryMs = 20_000;

/**
 * Sybils that know the places in the DHT in advance, are there first and hold together, against a network that begins after them; then cold consumers
 * that are told of three bootstrap peers, of which one is honest.
 */
export async function runSimulatedEclipse(attack: Attack, signal: AbortSignal, log: (line: string) => void): Promise<EclipseTried[]> {
  const clock = createVirtualClock();
  const net = createSimNet(clock);
  const stop = new AbortController();
  const honest = new Set<string>();
  const standing = (address: string): Standing => (honest.has(address) || attack.bonded ? "bonded" : "unbonded");
  // nobody knows before the chain was asked
  const announcers = (): Announcers => {
    const asked = new Set<string>();
    return {
      ...everybody,
      standing: (address) => (asked.has(address) ? standing(address) : "unknown"),
      check: async (addresses) => {
        await clock.sleep(50);
        for (const address of addresses) asked.add(address);
      },
    };
  };

  const ring: Ring = { offers: new Map(), country };
  const places: Place[] = [];
  const near = (key: Uint8Array) =>
    places
      .map((place) => ({ place, far: distance(kadIdOf(place.peer), key) }))
      .sort((a, b) => a.far - b.far)
      .slice(0, 20)
      .map(({ place }) => place);
  // they tell of one another only, and forget what they are told
  const dht: KadNode = { closest: near, providers: near, addProvider: () => undefined };
  const sybils: { identity: Identity; network: Network }[] = [];
  const identities = grindIdentities(attack.sybils, country, clock.nowMs(), attack.grind);
  while (identities.length < attack.sybils) identities.push(createIdentity(randomBytes(32)));
  for (const [index, identity] of identities.entries()) {
    const ip = addressOf(20_000 + index, attack.spread ? undefined : 1);
    const listen = `/ip4/${ip}/tcp/${5000 + index}`;
    const bootstrap = places.slice(-3).flatMap(({ addresses }) => addresses);
    const network = await net.start({
      peerId: identity.peerId,
      ip,
      listen,
      bootstrap,
      store: memoryStore(),
      malice: { dht, swallows: true },
    });
    places.push({ peer: identity.peerId, addresses: network.addresses() });
    sybils.push({ identity, network });
    void runSybil({ identity, network, clock }, ring, stop.signal);
  }
  await clock.pass(5_000);
  log(`${sybils.length} Sybils are there`);

  const bad = sybils.slice(0, 3).map(({ network }) => network.addresses()[0] as string);
  const traders: SimTrader[] = [];
  const start = async (bootstrap: string[], place?: string) => {
    const identity = createIdentity(randomBytes(32));
    honest.add(identity.address);
    const known = announcers();
    const isBonded = (peer: string) =>
      honest.has(addressOfPeer.get(peer) ?? "") || (attack.bonded && places.some((one) => one.peer === peer));
    addressOfPeer.set(identity.peerId, identity.address);
    const trader = await startSimTrader(net, clock, { identity, bootstrap, announcers: known, isBonded, ...(place && { country: place }) });
    traders.push(trader);
    // whoever there is gets the Sybils' connections at once, as many as it takes
    for (const { network } of sybils.filter(() => Math.random() < 0.4))
      void network.connect(trader.identity.peerId, [trader.invite ?? ""], clock.timeout(20_000)).catch(() => undefined);
    return trader;
  };
  const addressOfPeer = new Map<string, string>();
  const boot = await start([]);
  await clock.pass(2_000);
  const invites = attack.allBootstrapsBad ? bad : [boot.invite as string, ...bad.slice(0, 2)];
  for (let index = 0; index + 1 < attack.honest && !signal.aborted; index++) {
    await start([boot.invite as string, ...bad.slice(0, 2)], index < attack.exits ? country : undefined);
    await clock.pass(100);
  }
  await clock.pass(120_000);
  log(`${traders.length} honest peers; the one that is told to all knows ${boot.discovery.offers({ country }).length} exits`);

  const tried: EclipseTried[] = [];
  for (let index = 0; index < attack.tries && !signal.aborted; index++) {
    const consumer = await startSimTrader(net, clock, {
      listens: false,
      bootstrap: invites.toSorted(() => Math.random() - 0.5),
      announcers: announcers(),
    });
    const found = await clock.until(consumer.discovery.search({ country, service: "proxy" }, clock.timeout(tryMs)), 2 * tryMs);
    const good = found.filter(({ offer }) => honest.has(offer.address)).length;
    tried.push({ found: good > 0, honest: good, sybils: found.length - good });
    net.kill(consumer.identity.peerId);
    void endSimTrader(consumer);
    await clock.pass(500);
  }
  stop.abort();
  for (const { network } of sybils) {
    net.kill(network.peerId);
    void network.stop();
  }
  for (const trader of traders) {
    net.kill(trader.identity.peerId);
    void endSimTrader(trader);
  }
  await clock.pass(30_000);
  return tried;
}
