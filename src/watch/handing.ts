import type { Identity } from "../identity/identity.ts";
import type { Clock } from "../lib/clock.ts";
import { asMystError, MystError } from "../lib/errors.ts";
import { deadline, every, oneAtATime } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import type { Network } from "../network/network.ts";
import { signCheck } from "../payments/check.ts";
import type { ClearingDomain } from "../payments/eip712.ts";
import { keyOf, type ProviderChannel, type ProviderLedger } from "../payments/provider-ledger.ts";
import type { ClearingForOthers } from "../payments/settlement.ts";
import { createChosen } from "./chosen.ts";
import type { Handed, HandedTo } from "./handed.ts";
import { isDue, type WatchOffer } from "./handing-policy.ts";
import { type HandedOutcome, maxHanded, maxWatchAnswer, watchAnswerCodec, watchProtocol, watchQuestionCodec } from "./protocol.ts";

export type HandingDeps = {
  network: Pick<Network, "ask" | "connect">;
  ledger: Pick<ProviderLedger, "channel" | "channels" | "self">;
  chain: Pick<ClearingForOthers, "clearCosts">;
  identity: Pick<Identity, "sign">;
  domain: ClearingDomain;
  handed: Handed;
  /** who offers to watch, as far as it is known now */
  offers(): WatchOffer[];
  /** Looks for more of them. */
  look(signal: AbortSignal): Promise<unknown>;
  clock: Clock;
  log: Logger;
};

export type HandingOptions = {
  /** more is promised to no watcher */
  maxFeeBps: number;
  /** how long a check is good; default 30 days */
  lifeMs?: number;
  /** default 60 s */
  reviewMs?: number;
  /** from 0 up to 1; default Math.random */
  random?: () => number;
};

/** A provider's side of being watched: hands checks for its newest promises to some peers, and renews them. */
export type Handing = AsyncDisposable & {
  /** Hands out now what is due. Never throws. */
  now(): Promise<void>;
  stop(): Promise<void>;
};

const dayMs = 86_400_000;
const minuteMs = 60_000;
const connectMs = 5_000;
const askMs = 10_000;
const lookMs = 15_000;
/** nobody is asked for offers more often */
const lookAgainMs = 30 * minuteMs;
/** a channel that a watcher has refused is not shown to it sooner */
const refusedMs = 10 * minuteMs;
/** questions to each watcher in one go */
const mostRounds = 32;

type Part = { channel: ProviderChannel; handed: HandedTo };
type Question = { offer: WatchOffer; place: number; parts: Part[] };

/** Begins at once, and looks again each minute. */
export function startHanding(deps: HandingDeps, options: HandingOptions): Handing {
  const { network, ledger, chain, identity, domain, handed, clock, log } = deps;
  const { maxFeeBps, lifeMs = 30 * dayMs, reviewMs = minuteMs, random = Math.random } = options;
  const stopped = new AbortController();
  const refusedUntilMs = new Map<string, number>();
  const chosen = createChosen(handed.keepers(clock.nowMs()), clock, random);
  let lookedMs: number | undefined;
  let gas = 0n;

  const fail = (peer: string, { code }: MystError) =>
    log.debug("a watcher was not reached, or took nothing", { peer, code, failures: chosen.failed(peer) });
  const lookForMore = () => {
    if (chosen.isFull() || (lookedMs !== undefined && clock.nowMs() - lookedMs < lookAgainMs)) return;
    lookedMs = clock.nowMs();
    const looking = deps
      .look(deadline(lookMs, stopped.signal))
      .catch((error) => log.debug("no watcher was found", { code: asMystError(error).code }));
    // found while another review is on its way or none is: either way there is one after it
    void looking.then(() => (stopped.signal.aborted ? undefined : now()));
  };

  /** The check for a watcher: the one that is on disk already, to the letter, or a new one. */
  const partFor = (channel: ProviderChannel, { peer, feeBps }: WatchOffer): Part => {
    const { best } = channel;
    const had = handed.to(channel, peer);
    const nowMs = clock.nowMs();
    if (had && had.promise.seq === best.seq && had.check.feeBps === feeBps && Number(had.check.deadline) * 1000 - nowMs >= lifeMs / 2)
      return { channel, handed: had };
    const terms = { to: ledger.self, feeBps, deadline: BigInt(Math.floor((nowMs + lifeMs) / 1000)) };
    const check = signCheck(domain, identity, best, terms);
    return { channel, handed: { peer, promise: best, check, kept: had?.kept ?? 0n, keptUntil: had?.keptUntil ?? 0n } };
  };
  const questionFor = (offer: WatchOffer, place: number): Question => {
    const nowMs = clock.nowMs();
    const due = ledger.channels().filter((channel) => {
      if ((refusedUntilMs.get(`${offer.peer}/${keyOf(channel)}`) ?? 0) > nowMs) return false;
      const had = handed.to(channel, offer.peer);
      const { cumulative, paid } = channel;
      const handable = { cumulative, paid, kept: had?.kept ?? 0n, keptUntilMs: Number(had?.keptUntil ?? 0n) * 1000 };
      return isDue(handable, { feeBps: offer.feeBps, gas, nowMs, lifeMs });
    });
    const most = due.sort((a, b) => (a.cumulative - a.paid < b.cumulative - b.paid ? 1 : -1)).slice(0, maxHanded);
    return { offer, place, parts: most.map((channel) => partFor(channel, offer)) };
  };

  const ask = async ({ offer: { peer, addresses }, place, parts }: Question): Promise<HandedOutcome[]> => {
    await network.connect(peer, addresses, deadline(connectMs, stopped.signal));
    const checks = parts.map(({ channel: { signer, salt }, handed: { promise, check } }) => ({ signer, salt, place, promise, check }));
    const question = watchQuestionCodec.encode({ checks });
    const answer = await network.ask(peer, watchProtocol, question, deadline(askMs, stopped.signal), { maxAnswer: maxWatchAnswer });
    const { outcomes } = watchAnswerCodec.decode(answer);
    if (outcomes.length !== parts.length) throw new MystError("MALFORMED", `${parts.length} checks and ${outcomes.length} outcomes`);
    return outcomes;
  };
  /** What is to be noted of the answer. */
  const settleAnswer = ({ offer: { peer }, parts }: Question, outcomes: HandedOutcome[]): { ref: ProviderChannel; handed: HandedTo }[] => {
    const kept = parts.filter((_, i) => outcomes[i] === "kept");
    const refused = new Set(outcomes.filter((outcome) => outcome !== "kept"));
    for (const [i, { channel }] of parts.entries())
      if (outcomes[i] !== "kept") refusedUntilMs.set(`${peer}/${keyOf(channel)}`, clock.nowMs() + refusedMs);
    if (kept.length > 0) chosen.worked(peer);
    else fail(peer, new MystError("PEER_REFUSED", "it keeps none"));
    if (refused.size > 0) log.debug("a watcher does not keep all", { peer, outcomes: [...refused].join(",") });
    const amount = kept.reduce((sum, { channel, handed: { promise } }) => sum + promise.cumulative - channel.paid, 0n);
    if (kept.length > 0) log.info("watched while this node is away", { peer, channels: kept.length, amount });
    return kept.map(({ channel, handed: to }) => ({
      ref: channel,
      handed: { ...to, kept: to.promise.cumulative, keptUntil: to.check.deadline },
    }));
  };

  const askable = () => chosen.choose(deps.offers().filter(({ feeBps }) => feeBps <= maxFeeBps));
  /** One question to each watcher. @returns whether there may be more to hand out */
  const round = async (): Promise<boolean> => {
    const questions = askable().flatMap((offer, place) => (offer ? questionFor(offer, place) : []));
    const asked = questions.filter(({ parts }) => parts.length > 0);
    // promise and check are on disk before either leaves
    await handed.note(asked.flatMap(({ parts }) => parts.map(({ channel, handed: to }) => ({ ref: channel, handed: to }))));
    const answers = await Promise.all(
      asked.map((question) =>
        ask(question).then(
          (outcomes) => settleAnswer(question, outcomes),
          (error) => {
            if (!stopped.signal.aborted) fail(question.offer.peer, asMystError(error));
            return [];
          },
        ),
      ),
    );
    await handed.note(answers.flat());
    // whoever took a full question may take another
    return asked.some(({ parts }, i) => parts.length === maxHanded && (answers[i]?.length ?? 0) > 0);
  };
  const review = oneAtATime(async () => {
    if (stopped.signal.aborted) return;
    const nowMs = clock.nowMs();
    for (const [key, untilMs] of refusedUntilMs) if (untilMs <= nowMs) refusedUntilMs.delete(key);
    await handed.tidy((ref) => ledger.channel(ref)?.paid ?? 0n, nowMs);
    if (!ledger.channels().some(({ cumulative, paid }) => cumulative > paid)) return;
    const isAsking = askable().some((offer) => offer !== undefined);
    lookForMore();
    if (!isAsking) return;
    await chain.clearCosts().then(
      ({ first }) => {
        gas = first;
      },
      ({ message }) => log.debug("what gas costs is not known", { message }),
    );
    for (let i = 0; i < mostRounds && !stopped.signal.aborted && (await round()); i += 1);
  });
  const onError = (error: unknown) => log.warn("checks could not be handed out", { code: asMystError(error).code });
  const now = () => review().catch(onError);
  const loop = every(clock, reviewMs, review, onError);

  const stop = async () => {
    stopped.abort();
    await loop.stop();
    await now();
  };
  return { now, stop, [Symbol.asyncDispose]: stop };
}
