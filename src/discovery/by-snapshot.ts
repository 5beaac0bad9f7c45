import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock } from "../lib/clock.ts";
import { isMystError } from "../lib/errors.ts";
import { deadline, every } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import { shuffled } from "../lib/sample.ts";
import { apart } from "../network/diversity.ts";
import type { Network } from "../network/network.ts";
import type { Announcer } from "./announcer.ts";
import type { Announcers } from "./announcers.ts";
import type { Catalogue } from "./catalogue.ts";
import { digestHas, digestOf } from "./digest.ts";
import type { Intake } from "./intake.ts";
import { encodeOffer, readOffer } from "./offer.ts";
import { maxPageBytes, maxQuestionBytes, pageCodec, questionCodec, snapshotProtocol } from "./protocol.ts";

type Deps = {
  network: Pick<Network, "ask" | "answer" | "peers" | "onConnect" | "complain">;
  clock: Clock;
  log: Logger;
  catalogue: Pick<Catalogue, "all">;
  announcers: Pick<Announcers, "standing">;
  intake: Intake;
  own: Pick<Announcer, "current">;
};

export type Snapshots = {
  /** Asks some connected peers for all they know and we do not. */
  pull(signal: AbortSignal): Promise<void>;
  /** Is somebody being asked, who has not been asked before? */
  isPulling(): boolean;
  /** Hands our own offer to some connected peers. Never throws. */
  exchange(): Promise<void>;
  stop(): Promise<void>;
};

/** Peers asked at a time; no single one is trusted to tell all. */
const peersAsked = 3;
/** The next one is asked when the one before has answered, for what it lacked, or when it has not for so long. */
const staggerMs = 250;
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
/** Questions of one peer. */
const quota = { burst: 20, perSecond: 1 };

/** Answers with what is held, always; pulls from others, and takes what askers hand over, where `enabled`. */
export async function createSnapshots(deps: Deps, enabled: boolean): Promise<Snapshots> {
  const { network, clock, log, catalogue, announcers, intake, own } = deps;
  const stopped = new AbortController();
  /** An honest peer has checked what it hands on: what is malformed or signed wrongly tells of its teller. */
  const takeAll = async (offers: Uint8Array[], from: string) => {
    for (const [index, bytes] of offers.entries()) {
      if (index % atOnce === atOnce - 1) await nextTurn();
      try {
        intake.takeBytes(bytes, "snapshot");
      } catch (error) {
        log.debug("an offer of a snapshot was not taken", { error: (error as Error).message });
        if (!isMystError(error, "MALFORMED") && !isMystError(error, "BAD_SIGNATURE")) continue;
        network.complain(from, "invalid offers");
        throw error;
      }
    }
  };
  const ownBytes = () => {
    const offer = own.current();
    return offer && encodeOffer(offer);
  };
  /** what others may have from us: nobody's offer that is not known to be backed, but our own */
  const shared = () => {
    const ours = own.current();
    return [...catalogue.all().filter(({ offer }) => announcers.standing(offer.address) === "bonded"), ...(ours ? [ours] : [])];
  };

  const limits = { maxQuestion: maxQuestionBytes, maxAnswer: maxPageBytes, quota };
  await network.answer(snapshotProtocol, limits, async (bytes, from) => {
    const { own: theirs, after = "", known } = questionCodec.decode(bytes);
    if (enabled && theirs) await takeAll([theirs], from);
    const held = shared()
      .filter(({ offer, signature }) => offer.peer > after && !(known && digestHas(known, signature)))
      .sort((a, b) => (a.offer.peer < b.offer.peer ? -1 : 1));
    const offers: Uint8Array[] = [];
    let size = 0;
    for (const signed of held) {
      const envelope = encodeOffer(signed);
      size += envelope.byteLength + 4;
      if (size > pageBytes) return pageCodec.encode({ offers, more: true });
      offers.push(envelope);
    }
    return pageCodec.encode({ offers, more: false });
  });

  const ask = async (peer: string, after: string | undefined, signal: AbortSignal) => {
    const mine = ownBytes();
    const held = after === nothing ? [] : catalogue.all();
    const question = questionCodec.encode({
      ...(after !== undefined && { after }),
      ...(mine && { own: mine }),
      ...(held.length > 0 && { known: digestOf(held.map(({ signature }) => signature)) }),
    });
    const limit = deadline(askMs, signal, clock);
    return pageCodec.decode(await network.ask(peer, snapshotProtocol, question, limit, { maxAnswer: maxPageBytes }));
  };
  const pullFrom = async (peer: string, signal: AbortSignal) => {
    let after: string | undefined;
    for (let pages = 0; pages < maxPages; pages++) {
      const { offers, more } = await ask(peer, after, signal);
      await takeAll(offers, peer);
      const last = offers.at(-1);
      if (!more || !last) return;
      const next = readOffer(last).offer.peer;
      if (after !== undefined && next <= after) return;
      after = next;
    }
  };
  const hand = (peer: string) => ask(peer, nothing, deadline(handMs, stopped.signal, clock));
  const quietly = (peer: string, work: Promise<unknown>) =>
    work.catch((error) => log.debug("no snapshot from a peer", { peer, error: (error as Error).message }));
  /** peers of different networks, so far as there are any */
  const some = () => apart(shuffled(network.peers()), ({ addresses }) => addresses, 1).slice(0, peersAsked);

  const pull = async (signal: AbortSignal) => {
    const until = AbortSignal.any([signal, stopped.signal]);
    const pulls: Promise<unknown>[] = [];
    for (const { peer } of some()) {
      const work = quietly(peer, pullFrom(peer, until));
      pulls.push(work);
      await Promise.race([work, clock.sleep(staggerMs, until).catch(() => undefined)]);
    }
    await Promise.all(pulls);
  };

  const pulled = new Set<string>();
  let pulling = 0;
  let turn: Promise<unknown> = Promise.resolve();
  const off = network.onConnect((peer) => {
    if (enabled && pulled.size < peersAsked && !pulled.has(peer)) {
      pulled.add(peer);
      pulling += 1;
      turn = turn.then(() => {
        const work = quietly(peer, pullFrom(peer, stopped.signal)).finally(() => {
          pulling -= 1;
        });
        return Promise.race([work, clock.sleep(staggerMs, stopped.signal).catch(() => undefined)]);
      });
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
    isPulling: () => pulling > 0,
    exchange: async () => {
      if (own.current()) await Promise.all(some().map(({ peer }) => quietly(peer, hand(peer))));
    },
    stop: async () => {
      off();
      stopped.abort();
      await repeat.stop();
    },
  };
}
