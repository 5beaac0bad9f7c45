import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock } from "../lib/clock.ts";
import { deadline, every } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import type { Network } from "../network/network.ts";
import type { Announcer } from "./announcer.ts";
import type { Catalogue } from "./catalogue.ts";
import type { Intake } from "./intake.ts";
import { encodeOffer, readOffer } from "./offer.ts";
import { maxPageBytes, maxQuestionBytes, pageCodec, questionCodec, snapshotProtocol } from "./protocol.ts";

type Deps = {
  network: Pick<Network, "ask" | "answer" | "peers" | "onConnect">;
  clock: Clock;
  log: Logger;
  catalogue: Pick<Catalogue, "all">;
  intake: Intake;
  own: Pick<Announcer, "current">;
};

export type Snapshots = {
  /** Asks some connected peers for all they know. */
  pull(signal: AbortSignal): Promise<void>;
  /** Hands our own offer to some connected peers. Never throws. */
  exchange(): Promise<void>;
  stop(): Promise<void>;
};

/** Peers asked at a time; no single one is trusted to tell all. */
const peersAsked = 3;
const maxPages = 8;
const askMs = 5_000;
const handMs = 2_000;
const repeatMs = 10 * 60_000;
/** room in a page for its own framing */
const pageBytes = maxPageBytes - 16 * 1024;
/** Offers whose signatures are checked before others get a turn. */
const atOnce = 32;
/** Sorts after every peer id: the question for an empty page, to hand something over only. */
const nothing = "~";

const some = <T>(items: T[], count: number): T[] =>
  items
    .map((item) => ({ item, order: Math.random() }))
    .sort((a, b) => a.order - b.order)
    .slice(0, count)
    .map(({ item }) => item);

/** Answers with what is held, always; pulls from others, and takes what askers hand over, where `enabled`. */
export async function createSnapshots({ network, clock, log, catalogue, intake, own }: Deps, enabled: boolean): Promise<Snapshots> {
  const stopped = new AbortController();
  const takeAll = async (offers: Uint8Array[]) => {
    for (const [index, bytes] of offers.entries()) {
      if (index % atOnce === atOnce - 1) await nextTurn();
      try {
        intake.takeBytes(bytes, "snapshot");
      } catch (error) {
        log.debug("an offer of a snapshot was not taken", { error: (error as Error).message });
      }
    }
  };
  const ownBytes = () => {
    const offer = own.current();
    return offer && encodeOffer(offer);
  };

  await network.answer(snapshotProtocol, { maxQuestion: maxQuestionBytes, maxAnswer: maxPageBytes }, async (bytes) => {
    const question = questionCodec.decode(bytes);
    if (enabled && question.own) await takeAll([question.own]);
    return page(question.after ?? "");
  });
  function page(after: string): Uint8Array {
    const ours = own.current();
    const held = [...catalogue.all(), ...(ours ? [ours] : [])]
      .filter(({ offer }) => offer.peer > after)
      .sort((a, b) => (a.offer.peer < b.offer.peer ? -1 : 1));
    const offers: Uint8Array[] = [];
    let size = 0;
    for (const signed of held) {
      const bytes = encodeOffer(signed);
      size += bytes.byteLength + 4;
      if (size > pageBytes) return pageCodec.encode({ offers, more: true });
      offers.push(bytes);
    }
    return pageCodec.encode({ offers, more: false });
  }

  const ask = async (peer: string, after: string | undefined, signal: AbortSignal) => {
    const mine = ownBytes();
    const question = questionCodec.encode({ ...(after !== undefined && { after }), ...(mine && { own: mine }) });
    const limit = deadline(askMs, signal);
    return pageCodec.decode(await network.ask(peer, snapshotProtocol, question, limit, { maxAnswer: maxPageBytes }));
  };
  const pullFrom = async (peer: string, signal: AbortSignal) => {
    let after: string | undefined;
    for (let pages = 0; pages < maxPages; pages++) {
      const { offers, more } = await ask(peer, after, signal);
      await takeAll(offers);
      const last = offers.at(-1);
      if (!more || !last) return;
      after = readOffer(last).offer.peer;
    }
  };
  const hand = (peer: string) => ask(peer, nothing, deadline(handMs, stopped.signal));
  const quietly = (peer: string, work: Promise<unknown>) =>
    work.catch((error) => log.debug("no snapshot from a peer", { peer, error: (error as Error).message }));
  const connected = () => network.peers().map(({ peer }) => peer);
  const pull = async (signal: AbortSignal) => {
    const until = AbortSignal.any([signal, stopped.signal]);
    await Promise.all(some(connected(), peersAsked).map((peer) => quietly(peer, pullFrom(peer, until))));
  };

  const pulled = new Set<string>();
  const off = network.onConnect((peer) => {
    if (enabled && pulled.size < peersAsked && !pulled.has(peer)) {
      pulled.add(peer);
      void quietly(peer, pullFrom(peer, stopped.signal));
    } else if (own.current()) void quietly(peer, hand(peer));
  });
  const repeat = every(
    clock,
    repeatMs,
    async (signal) => {
      if (enabled) await pull(signal);
    },
    (error) => log.warn("no snapshot", { error: (error as Error).message }),
  );
  return {
    pull,
    exchange: async () => {
      if (own.current()) await Promise.all(some(connected(), peersAsked).map((peer) => quietly(peer, hand(peer))));
    },
    stop: async () => {
      off();
      stopped.abort();
      await repeat.stop();
    },
  };
}
