import { peerAddress } from "../identity/peer.ts";
import type { Clock } from "../lib/clock.ts";
import { asMystError, type MystError } from "../lib/errors.ts";
import { deadline } from "../lib/lifecycle.ts";
import type { Network } from "../network/network.ts";
import type { PayerLedger } from "../payments/payer-ledger.ts";
import type { ProviderChannel, ProviderLedger } from "../payments/provider-ledger.ts";
import type { Settler } from "../payments/settler.ts";
import { type AcceptingDeps, decideOn } from "./accepting.ts";
import { heldProtocol, maxResumed, maxResumeFrame, resumeAnswerCodec, resumeProtocol, resumeQuestionCodec } from "./messages.ts";

const askMs = 10_000;
/** What was signed just now is on its way by a session, which counts it as its own: told sooner by another way it would be taken for an older one's. */
const underWayMs = 10_000;

export type ResumePayerDeps = {
  network: Pick<Network, "answer">;
  ledger: Pick<PayerLedger, "channels" | "shown">;
  clock: Pick<Clock, "nowMs">;
  /** somebody shows a promise of ours that we have not recorded: nothing more is signed */
  onBehind(error: MystError): void;
};

/**
 * The payer's side: a provider shows the newest promises that it has of ours, and gets the newest there are, to the letter. Nobody
 * gets a promise on a channel that is another's, and what it gets is what it was given before: there is nothing to gain by asking.
 */
export async function answerResume({ network, ledger, clock, onBehind }: ResumePayerDeps): Promise<void> {
  await network.answer(resumeProtocol, { maxQuestion: maxResumeFrame, maxAnswer: maxResumeFrame }, async (bytes, from) => {
    const { promises } = resumeQuestionCodec.decode(bytes);
    try {
      for (const promise of promises) await ledger.shown(promise);
    } catch (error) {
      onBehind(asMystError(error));
      throw error;
    }
    const before = BigInt(clock.nowMs() - underWayMs) << 20n;
    const had = new Map(promises.map(({ channel, seq }) => [channel, seq]));
    const newer = ledger
      .channels()
      .filter(({ peer, channel, last }) => peer === from && last && last.seq <= before && last.seq > (had.get(channel) ?? -1n))
      .sort((a, b) => b.openedMs - a.openedMs)
      .flatMap(({ salt, last }) => (last ? [{ salt, promise: last }] : []));
    return resumeAnswerCodec.encode({ channels: newer.slice(0, maxResumed) });
  });
}

export type RecallDeps = { network: Pick<Network, "ask">; ledger: Pick<PayerLedger, "channels" | "shown"> };

/**
 * The payer's side, once for each provider that it has promised anything, since the process began: what the provider has is held against
 * the ledger before anything is signed on it, for it may be one that was brought back from an older state as a whole.
 * @throws LEDGER_BEHIND when it is, and what asking throws: who does not say is not paid
 */
export function createRecall({ network, ledger }: RecallDeps): (provider: { peer: string }, signal: AbortSignal) => Promise<void> {
  const told = new Set<string>();
  return async ({ peer }, signal) => {
    if (told.has(peer) || !ledger.channels().some((channel) => channel.peer === peer && channel.last)) return;
    const bytes = await network.ask(peer, heldProtocol, new Uint8Array(), deadline(askMs, signal), { maxAnswer: maxResumeFrame });
    for (const { promise } of resumeAnswerCodec.decode(bytes).channels) await ledger.shown(promise);
    told.add(peer);
  };
}

/** The provider's side of that: the newest promise of each channel of whoever asks. */
export const answerHeld = ({ network, ledger }: { network: Pick<Network, "answer">; ledger: Pick<ProviderLedger, "channels"> }) =>
  network.answer(heldProtocol, { maxQuestion: 0, maxAnswer: maxResumeFrame }, async (_, from) =>
    resumeAnswerCodec.encode({ channels: newestOf(ledger, from).map(({ salt, best }) => ({ salt, promise: best })) }),
  );

/** The channels of a payer, whose key is its peer's, so that nobody speaks for another: those with the newest promises. */
const newestOf = (ledger: Pick<ProviderLedger, "channels">, peer: string): ProviderChannel[] => {
  const signer = peerAddress(peer);
  return ledger
    .channels()
    .filter((channel) => channel.signer === signer)
    .sort((a, b) => (a.best.seq < b.best.seq ? 1 : -1))
    .slice(0, maxResumed);
};

export type ResumeProviderDeps = AcceptingDeps & {
  network: Pick<Network, "ask" | "onConnect" | "peers">;
  settler: Pick<Settler, "consider">;
  signal: AbortSignal;
};

/**
 * The provider's side: asks each peer, as it connects, for promises that it has given and that are not recorded here, as after a backup
 * was restored. What comes is a promise like any other: the same checks, on disk before it counts. Ends when the signal aborts.
 */
export function resumeLost(deps: ResumeProviderDeps): void {
  const { network, log, signal } = deps;
  const asking = new Set<string>();
  const ask = async (peer: string) => {
    if (signal.aborted || asking.has(peer)) return;
    asking.add(peer);
    try {
      await resumeFrom(deps, peer);
    } catch (error) {
      // most peers have promised nothing, and many do not know the question
      log.debug("no lost promises were asked for", { peer, code: asMystError(error).code });
    } finally {
      asking.delete(peer);
    }
  };
  const stop = network.onConnect((peer) => void ask(peer));
  signal.addEventListener("abort", stop, { once: true });
  for (const { peer } of network.peers()) void ask(peer);
}

async function resumeFrom(deps: ResumeProviderDeps, peer: string): Promise<void> {
  const { network, ledger, settler, log } = deps;
  const signer = peerAddress(peer);
  const question = resumeQuestionCodec.encode({ promises: newestOf(ledger, peer).map(({ best }) => best) });
  const bytes = await network.ask(peer, resumeProtocol, question, deadline(askMs, deps.signal), { maxAnswer: maxResumeFrame });
  for (const { salt, promise } of resumeAnswerCodec.decode(bytes).channels) {
    const held = ledger.channel({ signer, channel: promise.channel })?.best;
    if (held && held.seq >= promise.seq) continue;
    const decision = await decideOn(deps, { signer, peer, salt, promise, consumed: 0n });
    if (!decision.accepted) log.warn("a promise that was lost here is not taken again", { peer, refusal: decision.refusal });
    else if (decision.fresh) {
      log.info("a promise that was lost here is back", { peer, channel: promise.channel });
      settler.consider({ signer, channel: promise.channel });
    }
  }
}
