import { type Handover, maxHandoverBytes, openHandover, readHandover } from "../identity/handover.ts";
import { peerAddress } from "../identity/peer.ts";
import type { RecordDomain } from "../identity/record.ts";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { isMystError } from "../lib/errors.ts";
import { deadline, every } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import { type Member, secretOrder, toEvict } from "../lib/sample.ts";
import type { Store } from "../lib/store.ts";
import type { Network, Validity } from "../network/network.ts";

/** Which key took which one's place. The first that is seen of a key stands: nobody takes back what others have acted upon. */
export type Handovers = {
  /** Has this peer's key been handed over? Then it is refused. */
  isRetired(peer: string): boolean;
  /** the peer that this one is now, after any number of hand-overs; the same where there was none */
  current(peer: string): string;
  /** the same of a peer's address */
  now(address: Hex): Hex;
  /** the addresses that a peer's address had before, the latest first */
  before(address: Hex): Hex[];
  stop(): Promise<void>;
};

type Deps = {
  network: Pick<
    Network,
    "peerId" | "subscribe" | "onSubscriber" | "publish" | "ask" | "answer" | "peers" | "onConnect" | "refuse" | "complain"
  >;
  store: Pick<Store, "table" | "writeLazily">;
  clock: Clock;
  log: Logger;
  domain: RecordDomain["network"];
  /** Is anything known of this peer? What strangers do with their keys is of no interest, and there is no end to it. */
  isKnown(peer: string): boolean;
  onHandover(handover: Handover): void;
};

const topic = "handovers";
/** a hand-over as question, an empty answer */
const protocol = "handover/1.0.0";
const tellEveryMs = 30 * 60_000;
/** hand-overs of our own are told for so long */
const tellForMs = 90 * 24 * 3_600_000;
const tellMs = 5_000;
const maxKept = 5_000;
const maxSkewMs = 600_000;
const quota = { burst: 10, perSecond: 0.5 };

const isInvalid = (error: unknown) => isMystError(error, "MALFORMED") || isMystError(error, "BAD_SIGNATURE");

type Entry = { handover: Handover; bytes: Uint8Array; order: number };

/**
 * Opens the table `handover`, listens, and tells of the hand-overs that led to our own key.
 * @param own as signed when the key was changed
 */
export async function followHandovers(deps: Deps, own: Uint8Array[]): Promise<Handovers> {
  const { network, store, clock, log, domain, isKnown } = deps;
  const table = store.table("handover");
  const byOld = new Map<string, Entry>();
  const byNew = new Map<Hex, string>();
  const byOldAddress = new Map<Hex, string>();
  const orderOf = secretOrder();

  const current = (peer: string): string => {
    let now = peer;
    for (let next = byOld.get(now); next; next = byOld.get(now)) now = next.handover.to;
    return now;
  };
  const enter = (handover: Handover, bytes: Uint8Array) => {
    byOld.set(handover.from, { handover, bytes, order: orderOf(handover.from) });
    byNew.set(peerAddress(handover.to), handover.from);
    byOldAddress.set(peerAddress(handover.from), handover.from);
    network.refuse(handover.from, "its key was handed over");
  };
  const drop = (peer: string) => {
    const entry = byOld.get(peer);
    if (entry) byNew.delete(peerAddress(entry.handover.to));
    byOldAddress.delete(peerAddress(peer));
    byOld.delete(peer);
  };
  const memberOf = ([key, { order }]: [string, Entry]): Member => ({ key, group: "", weight: 0, order });
  /** @throws MALFORMED, BAD_SIGNATURE */
  const take = (bytes: Uint8Array, isOwn = false): Validity => {
    const read = readHandover(bytes);
    const { from, to, atMs } = read;
    // neither a second one from or to the same key, nor one that would lead in a circle
    const isMoot = byOld.has(from) || byNew.has(peerAddress(to)) || current(to) === from || atMs > clock.nowMs() + maxSkewMs;
    if (isMoot || !(isOwn || from === network.peerId || isKnown(from))) return byOld.get(from)?.handover.to === to ? "accept" : "ignore";
    const handover = openHandover(bytes, domain);
    if (from === network.peerId) {
      log.error("this node's own key was handed over to another: peers refuse it", { to });
      return "accept";
    }
    enter(handover, Uint8Array.from(bytes));
    const evicted = toEvict([...byOld].map(memberOf), byOld.size - maxKept);
    for (const { key } of evicted) drop(key);
    store
      .writeLazily([table.put(from, bytes), ...evicted.map(({ key }) => table.del(key))])
      .catch((error) => log.warn("a hand-over was not saved", { error: (error as Error).message }));
    log.info("a peer goes on under another key", { from, to });
    deps.onHandover(handover);
    return "accept";
  };

  for await (const [, bytes] of table.entries()) {
    try {
      enter(openHandover(Uint8Array.from(bytes), domain), Uint8Array.from(bytes));
    } catch (error) {
      log.debug("a hand-over that was kept is of no use", { error: (error as Error).message });
    }
  }
  const told: Uint8Array[] = [];
  for (const bytes of own) {
    try {
      take(bytes, true);
      if (clock.nowMs() - readHandover(bytes).atMs < tellForMs) told.push(bytes);
    } catch (error) {
      log.warn("a hand-over of our own is of another network, or damaged", { error: (error as Error).message });
    }
  }

  await network.answer(protocol, { maxQuestion: maxHandoverBytes, maxAnswer: 0, quota }, async (bytes, from) => {
    try {
      take(bytes);
    } catch (error) {
      if (isInvalid(error)) network.complain(from, "invalid hand-overs");
      throw error;
    }
    return new Uint8Array();
  });
  await network.subscribe<never>({
    name: topic,
    maxBytes: maxHandoverBytes,
    quota,
    validate: async (bytes) => {
      try {
        return { validity: take(bytes) };
      } catch (error) {
        return { validity: isInvalid(error) ? "reject" : "ignore" };
      }
    },
    onMessage: () => undefined,
  });
  const stopped = new AbortController();
  const tell = async (peer: string) => {
    for (const bytes of told)
      await network
        .ask(peer, protocol, bytes, deadline(tellMs, stopped.signal), { maxAnswer: 0 })
        .catch((error) => log.debug("a hand-over was not told", { peer, error: (error as Error).message }));
  };
  const off = told.length > 0 ? network.onConnect((peer) => void tell(peer)) : () => undefined;
  for (const { peer } of told.length > 0 ? network.peers() : []) void tell(peer);
  const notTold = (error: unknown) => log.warn("a hand-over was not told", { error: (error as Error).message });
  const publish = async () => {
    for (const bytes of told) await network.publish(topic, bytes);
  };
  // at the start there is nobody yet to publish it to
  const offTopic = network.onSubscriber(topic, () => void publish().catch(notTold));
  const telling = every(clock, tellEveryMs, publish, notTold);

  return {
    isRetired: (peer) => byOld.has(peer),
    current,
    now: (address) => {
      const peer = byOldAddress.get(address);
      return peer === undefined ? address : peerAddress(current(peer));
    },
    before: (address) => {
      const addresses: Hex[] = [];
      for (let peer = byNew.get(address); peer !== undefined; peer = byNew.get(addresses.at(-1) as Hex)) addresses.push(peerAddress(peer));
      return addresses;
    },
    stop: async () => {
      off();
      offTopic();
      stopped.abort();
      await telling.stop();
    },
  };
}
