import { setImmediate as nextTurn } from "node:timers/promises";
import { z } from "zod";
import type { Clock } from "../lib/clock.ts";
import { boundedBytes, cborCodec, type Hex, wireAddress } from "../lib/codec.ts";
import { deadline, every } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import type { Network } from "../network/network.ts";
import { createQuota } from "../network/quota.ts";
import type { Intake } from "./intake.ts";
import type { Ledger } from "./ledger.ts";
import type { OwnEvidence } from "./own.ts";
import { encodeFork, encodePair, type Fork, maxForkBytes, maxPairBytes } from "./record.ts";

/** gossip: signed records of pairs */
export const recordsTopic = "records";
/** gossip: two records by which a payer contradicts itself */
export const forksTopic = "forks";
/** ask any peer for the records of some exits */
export const recordsProtocol = "records/1.0.0";

const maxProviders = 16;
export const maxAnswerBytes = 256 * 1024;
const maxQuestionBytes = 16 + maxProviders * 22;
/** room for the answer's own framing */
const answerRoom = maxAnswerBytes - 1_024;
export const questionCodec = cborCodec(z.strictObject({ providers: z.array(wireAddress).min(1).max(maxProviders) }), maxQuestionBytes);
export const answerCodec = cborCodec(z.strictObject({ records: z.array(boundedBytes(maxPairBytes)).max(2_000) }), maxAnswerBytes);

/** What one neighbour may pass on: an update of a payer comes once a day or so. */
const recordQuota = { burst: 100, perSecond: 10 };
const forkQuota = { burst: 20, perSecond: 1 };
/** Answers are a thousand times longer than questions. */
const perAsker = { burst: 6, perSecond: 0.2 };
/** Records whose signatures are checked before others get a turn. */
const atOnce = 16;
const peersAsked = 2;
const askMs = 5_000;

export type ExchangeDeps = {
  network: Pick<Network, "subscribe" | "publish" | "ask" | "answer" | "peers" | "onSubscriber">;
  ledger: Pick<Ledger, "records">;
  intake: Intake;
  own: Pick<OwnEvidence, "due">;
  clock: Clock;
  log: Logger;
  /** exits there are, to ask for some beside those that are wanted: nobody shall read from a question with whom we deal */
  exits(): Hex[];
  random(): number;
};

export type ExchangeOptions = {
  /** tell others what we have seen; default true */
  share?: boolean;
  /** how often is looked what there is to tell; default a minute */
  everyMs?: number;
};

export type Exchange = {
  /** Asks some peers for what is known of these exits, and takes it in. Never throws. */
  pull(wanted: Hex[], signal: AbortSignal): Promise<void>;
  /** Tells everybody that a payer contradicts itself. Never throws. */
  tellFork(fork: Fork): void;
  stop(): Promise<void>;
};

/** Listens to what payers say of exits, answers who asks, and tells what we have seen, each thing long after. */
export async function createExchange(deps: ExchangeDeps, { share = true, everyMs = 60_000 }: ExchangeOptions = {}): Promise<Exchange> {
  const { network, ledger, intake, own, clock, log, random } = deps;
  const stopped = new AbortController();
  const asked = createQuota(clock, perAsker);

  const shuffled = <T>(items: readonly T[]): T[] =>
    items
      .map((item) => ({ item, order: random() }))
      .sort((a, b) => a.order - b.order)
      .map(({ item }) => item);

  await network.subscribe<never>({
    ...{ name: recordsTopic, maxBytes: maxPairBytes, quota: recordQuota, onMessage: () => undefined },
    validate: async (bytes) => ({ validity: await intake.record(bytes) }),
  });
  await network.subscribe<never>({
    ...{ name: forksTopic, maxBytes: maxForkBytes, quota: forkQuota, onMessage: () => undefined },
    validate: async (bytes) => ({ validity: await intake.fork(bytes) }),
  });
  await network.answer(recordsProtocol, { maxQuestion: maxQuestionBytes, maxAnswer: maxAnswerBytes }, async (bytes, from) => {
    const { providers } = questionCodec.decode(bytes);
    if (!asked.take(from)) throw new Error("asked too often");
    const records: Uint8Array[] = [];
    let size = 0;
    for (const provider of providers)
      for (const { envelope } of ledger.records(provider)) {
        size += envelope.byteLength + 3;
        if (size > answerRoom) return answerCodec.encode({ records });
        records.push(envelope);
      }
    return answerCodec.encode({ records });
  });

  const takeAll = async (records: Uint8Array[]) => {
    for (const [index, bytes] of records.entries()) {
      if (index % atOnce === atOnce - 1) await nextTurn();
      await intake.record(bytes, true);
    }
  };
  const pullFrom = async (peer: string, question: Uint8Array, signal: AbortSignal) => {
    try {
      const answer = await network.ask(peer, recordsProtocol, question, deadline(askMs, signal), { maxAnswer: maxAnswerBytes });
      await takeAll(answerCodec.decode(answer).records);
    } catch (error) {
      log.debug("no records from a peer", { peer, error: (error as Error).message });
    }
  };
  /** Half of what is asked for is not what is wanted, as far as there are others. */
  const disguised = (wanted: Hex[]): Hex[] => {
    const others = shuffled(deps.exits().filter((exit) => !wanted.includes(exit)));
    const real = shuffled(wanted).slice(0, others.length > 0 ? maxProviders / 2 : maxProviders);
    return shuffled([...real, ...others.slice(0, Math.max(real.length, 4))].slice(0, maxProviders));
  };

  const tell = async () => {
    for (const { signed, sent } of await own.due(8)) {
      const bytes = encodePair(signed);
      if ((await network.publish(recordsTopic, bytes)) === 0) continue;
      await sent();
      await intake.record(bytes, true);
    }
  };
  const telling = every(
    clock,
    everyMs,
    async () => {
      if (share) await tell();
    },
    (error) => log.warn("what we have seen of exits was not told", { error: (error as Error).message }),
  );
  return {
    pull: async (wanted, signal) => {
      const providers = disguised([...new Set(wanted)]);
      if (providers.length === 0) return;
      const question = questionCodec.encode({ providers });
      const until = AbortSignal.any([signal, stopped.signal]);
      const peers = shuffled(network.peers().map(({ peer }) => peer)).slice(0, peersAsked);
      await Promise.all(peers.map((peer) => pullFrom(peer, question, until)));
    },
    tellFork: (fork) => {
      network.publish(forksTopic, encodeFork(fork)).catch((error) => log.warn("a fork was not told", { error: (error as Error).message }));
    },
    stop: async () => {
      stopped.abort();
      await telling.stop();
    },
  };
}
