import { createVirtualClock } from "../../../support/simulation/clock.ts";
import { endSimTrader, offerOf, type SimTrader, startSimTrader } from "../../../support/simulation/market.ts";
import { createSimNet, type Traffic } from "../../../support/simulation/net.ts";
import { memoryStore } from "../../../unit/discovery/offers.ts";
import { heapInUse } from "./heap.ts";

export type ScaleOptions = {
  peers: number;
  exits: number;
  /** virtual time over which a peer's costs are counted, and how many offers are followed on their way meanwhile */
  windowMs: number;
  followed: number;
  /** cold consumers that look for an exit afterwards */
  tries: number;
};

export type ScaleFound = {
  /** of one peer, sent and received, for each offer that is announced once: gossip, and which messages there are */
  bytesPerOffer: number;
  /** of one peer in one hour, sent and received: questions and the DHT; and how often it dials or is dialled */
  otherBytesPerHour: number;
  dialsPerHour: number;
  /** of one peer for each offer that is announced once, all of the simulation's work included */
  cpuMsPerOffer: number;
  /** of one peer on the heap: what discovery and the rules about peers keep, none of libp2p's own */
  heapBytes: number;
  /** virtual ms from an exit's word until a peer knows it, and the share of peers that did within 10 s */
  heardMs: number[];
  heardShare: number;
  /** times that a message came to a peer, for each time that it was news */
  copies: number;
  /** connections of a peer: mean, and of the one with most */
  links: number;
  mostLinks: number;
  /** offers that a peer holds */
  held: number;
  /** virtual ms of each try; Infinity: nothing was found */
  coldMs: number[];
  /** times that each of these asked everybody who sells */
  asked: number;
};

const countries = ["US", "DE", "JP", "NL", "BR"];
const hourMs = 3_600_000;
/** until all have joined, and until what that causes has died down */
const joiningMs = 20_000;
const settleMs = 100_000;
/** until what the first know is on disk */
const savedMs = 30_000;
const heardWithinMs = 10_000;
const tryMs = 20_000;

/** three ways each, of which those to the dead are two; each concerns two peers */
const dialsOf = (traffic: Traffic) => (2 * traffic.dials.messages) / 3;
const countryOf = (index: number) => countries[index % countries.length] as string;

/**
 * A network of so many peers in memory and virtual time: each with the product's own discovery, catalogue, bans, quotas and choice of neighbours. After all
 * have joined and a while has passed, what a peer costs is counted over `windowMs`.
 */
export async function measureScale(options: ScaleOptions, signal: AbortSignal, log: (line: string) => void): Promise<ScaleFound> {
  const { peers, exits, windowMs, followed, tries } = options;
  const clock = createVirtualClock();
  const net = createSimNet(clock);
  const emptyBytes = await heapInUse();
  const traders: SimTrader[] = [];
  const start = async (store: ReturnType<typeof memoryStore>, country?: string) => {
    const bootstrap = traders.slice(0, 3).flatMap(({ invite }) => invite ?? []);
    traders.push(await startSimTrader(net, clock, { bootstrap, store, ...(country !== undefined && { country }) }));
  };
  const first = memoryStore();
  for (let index = 0; index < exits + 3; index++)
    await start(index === 0 ? first : memoryStore(), index < 3 ? undefined : countryOf(index - 3));
  await clock.pass(savedMs);
  // the others were there before, and remember: a thousand that know nothing and ask at once are another matter
  const known = [...first.rows].filter(([key]) => key.startsWith("offer/"));
  const batch = Math.max(1, Math.round(peers / 200));
  while (traders.length < peers && !signal.aborted) {
    const store = memoryStore();
    for (const [key, row] of known) store.rows.set(key, row);
    await start(store);
    if (traders.length % batch === 0) await clock.pass((batch * joiningMs) / peers);
    if (traders.length % 1_000 === 0) log(`${traders.length} of ${peers} peers have joined`);
  }
  await clock.pass(settleMs);
  const usedBytes = (await heapInUse()) - emptyBytes;

  const selling = traders.filter(({ country }) => country !== undefined);
  const heardMs: number[] = [];
  let due = 0;
  let saidMs = 0;
  let word = { peer: "", perGiB: 0n };
  const heard = new Set<string>();
  for (const { discovery, identity } of traders)
    discovery.onOffer(({ offer }) => {
      if (offer.peer !== word.peer || offer.services[0]?.perGiB !== word.perGiB || heard.has(identity.peerId)) return;
      heard.add(identity.peerId);
      if (clock.nowMs() - saidMs <= heardWithinMs) heardMs.push(clock.nowMs() - saidMs);
    });
  const before = structuredClone({ traffic: net.traffic, gossip: net.gossip });
  const cpuBefore = process.cpuUsage();
  for (let at = 0; at < followed && !signal.aborted; at++) {
    const exit = selling[at % selling.length] as SimTrader;
    word = { peer: exit.identity.peerId, perGiB: 1_000n + BigInt(at) };
    saidMs = clock.nowMs();
    heard.clear();
    due += peers - 1;
    await exit.discovery.announce(offerOf(exit.country as string, { services: [{ kind: "proxy", perGiB: word.perGiB, perHour: 10n }] }));
    await clock.pass(windowMs / followed);
  }
  const { user, system } = process.cpuUsage(cpuBefore);
  // before the newcomers below, who cost by themselves
  const { traffic, gossip } = structuredClone({ traffic: net.traffic, gossip: net.gossip });
  const offers = (gossip.said.offers ?? 0) - (before.gossip.said.offers ?? 0);
  // each byte is sent by one and received by another
  const bytesOf = (...kinds: (keyof Traffic)[]) =>
    (2 * kinds.reduce((sum, kind) => sum + traffic[kind].bytes - before.traffic[kind].bytes, 0)) / peers;
  const copies = (traffic.gossip.messages - before.traffic.gossip.messages) / Math.max(1, gossip.news - before.gossip.news);
  const links = traders.map(({ network }) => network.peers().length);
  const held = traders.reduce((sum, { discovery }) => sum + discovery.offers().length, 0) / peers;

  const coldMs: number[] = [];
  const askedBefore = net.gossip.said.wanted ?? 0;
  for (let at = 0; at < tries && !signal.aborted; at++) {
    const bootstrap = traders.slice(0, 3).flatMap(({ invite }) => invite ?? []);
    const consumer = await startSimTrader(net, clock, { listens: false, bootstrap });
    const beganMs = clock.nowMs();
    const found = await clock.until(consumer.discovery.search({ country: countryOf(at) }, clock.timeout(tryMs)), 2 * tryMs);
    coldMs.push(found.length > 0 ? clock.nowMs() - beganMs : Number.POSITIVE_INFINITY);
    net.kill(consumer.identity.peerId);
    void endSimTrader(consumer);
  }
  const asked = ((net.gossip.said.wanted ?? 0) - askedBefore) / Math.max(1, coldMs.length);
  for (const trader of traders) {
    net.kill(trader.identity.peerId);
    void endSimTrader(trader);
  }
  await clock.pass(30_000);
  return {
    ...{ bytesPerOffer: bytesOf("gossip", "ids") / offers, otherBytesPerHour: bytesOf("questions", "dht") * (hourMs / windowMs) },
    dialsPerHour: ((dialsOf(traffic) - dialsOf(before.traffic)) / peers) * (hourMs / windowMs),
    ...{ cpuMsPerOffer: (user + system) / 1000 / offers / peers, heapBytes: usedBytes / peers },
    ...{ heardMs, heardShare: heardMs.length / Math.max(1, due), copies },
    ...{ links: links.reduce((sum, one) => sum + one, 0) / peers, mostLinks: Math.max(...links), held, coldMs, asked },
  };
}
