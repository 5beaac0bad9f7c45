import { larger, smaller } from "../lib/bigint.ts";
import type { Hex } from "../lib/codec.ts";
import { asMystError } from "../lib/errors.ts";
import { runMachine } from "../lib/machine.ts";
import type { FrameStream } from "../network/network.ts";
import { refusals } from "../payments/channel.ts";
import { channelId, type SignedPromise } from "../payments/promise.ts";
import type { Settler } from "../payments/settler.ts";
import type { Terms } from "../payments/terms.ts";
import type { Grant, ServiceProvider } from "../services/service.ts";
import { type AcceptingDeps, decideOn } from "./accepting.ts";
import { type Proposal, printableText } from "./messages.ts";
import { initialProvider, type ProviderEffect, type ProviderEvent, type ProviderState, stepProvider } from "./provider.ts";
import { holdStream } from "./provider-stream.ts";

export type ProviderDeps = AcceptingDeps & {
  settler: Pick<Settler, "consider" | "requestSettle">;
  /** our countersignature under the terms */
  signTerms(session: Uint8Array, signer: Hex, channel: Hex, terms: Terms): Uint8Array;
  self: Hex;
  /** what a session does about an event; default `stepProvider` */
  step?: typeof stepProvider;
};

export type ProviderSession = {
  id: string;
  peer: string;
  signer: Hex;
  channel: Hex;
  service: string;
  startedMs: number;
  state(): ProviderState;
  send(event: ProviderEvent): void;
  /** The consumer has come on another stream, to go on over it. */
  rejoin(stream: FrameStream): void;
  /** resolves when the service is over and what it used is on disk */
  over: Promise<void>;
};

const tickMs = 250;
/** what a service may carry on for while it waits and paid time stands still; renewed every second */
const leaseMs = 3_000;

/** Runs one accepted proposal's session over its stream; the caller has checked terms, service, capacity and consent. */
export function startProviderSession(
  deps: ProviderDeps,
  first: FrameStream,
  proposal: Proposal,
  service: ServiceProvider,
  onChange: (session: ProviderSession, event: ProviderEvent) => void,
): ProviderSession {
  const { ledger, clock } = deps;
  const id = Buffer.from(proposal.session).toString("hex");
  const log = deps.log.child("session");
  const channel = channelId(deps.self, proposal.salt);
  const ref = { signer: proposal.signer, channel };
  const terms: Terms = proposal;
  const known = ledger.channel(ref);
  const cumulative = known?.best.cumulative ?? 0n;
  // The payer may know of more use than a crash let us record; never of more than it promised.
  const consumed = larger(known?.consumed ?? 0n, smaller(proposal.consumed, cumulative));
  const over = Promise.withResolvers<void>();
  let startedMs = clock.nowMs();
  let grant: Grant | undefined;
  /** on which the consumer wants to go on */
  let coming: FrameStream | undefined;
  let inTime: NodeJS.Timeout | undefined;

  const machine = runMachine<ProviderState, ProviderEvent, ProviderEffect>({
    initial: initialProvider({ terms, start: { cumulative, consumed } }),
    step: deps.step ?? stepProvider,
    perform,
    onTransition: (_, event) => onChange(session, event),
  });
  const session: ProviderSession = {
    id,
    peer: first.peer,
    signer: proposal.signer,
    channel,
    service: service.kind,
    startedMs,
    state: machine.state,
    send: (event) => void handle(event),
    rejoin: (next) => {
      coming?.abort(new Error("another has come after it"));
      coming = next;
      session.send({ type: "rejoined" });
    },
    over: over.promise,
  };
  /** Resolves when all that follows from the event is done. */
  const handle = (event: ProviderEvent): Promise<void> => machine.send(event).catch(fail);
  const fail = (error: unknown) => {
    const { code, message } = asMystError(error);
    log.warn("the session fails", { session: id, code, message });
    machine.send({ type: "lost", code, message }).catch(() => over.resolve());
  };
  const failsToEnd = (error: unknown) => log.error("a session's end went wrong", { session: id, code: asMystError(error).code });
  const endService = async () => {
    try {
      return (await grant?.end()) ?? 0n;
    } catch (error) {
      failsToEnd(error);
      return grant?.usedBytes() ?? 0n;
    }
  };
  const waiting = () => grant?.unanswered() ?? { nowMs: 0, beyondMs: 0 };
  const elapsedMs = () => clock.nowMs() - startedMs;
  const look = () => {
    if (!grant) return;
    const { nowMs, beyondMs } = waiting();
    const passedMs = elapsedMs();
    session.send({
      type: "used",
      used: { bytes: grant.usedBytes(), ms: passedMs - beyondMs },
      elapsedMs: passedMs,
      waiting: nowMs > 0,
    });
    lookInTime(machine.state());
  };
  const leftMs = ({ bought, unboughtMs }: ProviderState) => Math.max(0, bought.ms + unboughtMs - (elapsedMs() - waiting().beyondMs));
  /** Bought time is over when it is over, not at the next tick. */
  const lookInTime = (state: ProviderState) => {
    clearTimeout(inTime);
    const left = leftMs(state);
    if (left > 0 && left < tickMs) inTime = setTimeout(look, left + 1);
  };
  /** How long the service may carry: while an answer is waited for at least until this is renewed. */
  const forMs = (state: ProviderState) => (waiting().nowMs > 0 ? Math.max(leftMs(state), leaseMs) : leftMs(state));

  async function perform(effect: ProviderEffect, state: ProviderState): Promise<void> {
    switch (effect.type) {
      case "accept":
        return session.send(await accept(effect.promise, effect.consumed));
      case "admit": {
        grant = await service.admit({ sessionId: id, peer: first.peer, ...(proposal.request && { request: proposal.request }) });
        startedMs = clock.nowMs();
        return session.send({ type: "admitted", connection: grant.connection });
      }
      case "allow":
        lookInTime(state);
        return grant?.allow(effect.bytes, terms.perHour > 0n ? forMs(state) : undefined);
      case "suspend":
        return grant?.suspend();
      case "sendAccepted":
        return stream.say({
          t: "accepted",
          connection: effect.connection,
          termsSignature: deps.signTerms(proposal.session, proposal.signer, channel, terms),
        });
      case "sendRefused": {
        const { code, message, consumed } = effect;
        const promise = state.phase === "REFUSED" ? newerThanProposed() : undefined;
        const more = { ...(consumed !== undefined && { consumed }), ...(promise && { promise }) };
        return stream.say({ t: "refused", code, message: printableText(message), ...more });
      }
      case "sendAck":
        return stream.say({ t: "ack", n: effect.n });
      case "takeStream":
        if (!coming) return;
        stream.take(coming);
        coming = undefined;
        return stream.say({ t: "rejoined", n: effect.n });
      case "sendInvoice":
        return stream.say({ t: "invoice", used: effect.used });
      case "sendClosed":
        return stream.say({ t: "closed", used: effect.used });
      case "endService":
        return session.send({ type: "ended", used: { bytes: await endService(), ms: elapsedMs() - waiting().beyondMs } });
      case "record":
        // The session is over all the same; what is lost with it is ours: that much may be used once more.
        return ledger.channel(ref) && ledger.consume(ref, effect.consumed).catch(failsToEnd);
      case "requestSettle":
        return deps.settler.requestSettle("session end", ref);
      case "hangUp":
        clearInterval(ticker);
        clearTimeout(inTime);
        over.resolve();
        await stream.close();
    }
  }

  async function accept(promise: SignedPromise | undefined, used: bigint): Promise<ProviderEvent> {
    const held = ledger.channel(ref)?.best.cumulative ?? 0n;
    if (clock.nowMs() > terms.validUntilMs) return { type: "declined", code: "OFFER_EXPIRED", message: "the terms are over" };
    if (!promise) return { type: "purchased", cumulative: held };
    const offer = { signer: proposal.signer, peer: first.peer, salt: proposal.salt, promise, consumed: used };
    const decision = await decideOn({ ...deps, log }, offer);
    if (!decision.accepted) {
      const code = decision.refusal === "conflict-known" ? "PAYER_CONFLICT" : "PROMISE_REFUSED";
      return { type: "declined", code, message: refusals[decision.refusal].text };
    }
    if (decision.fresh) deps.settler.consider(ref);
    // one that was lost here, and is found to have had service for all that was cleared
    const cleared = known || machine.state().phase !== "QUOTED" ? 0n : (ledger.channel(ref)?.consumed ?? 0n);
    if (cleared > consumed) return { type: "declined", code: "CREDIT_MISMATCH", message: "more was used up before", consumed: cleared };
    return { type: "purchased", cumulative: larger(promise.cumulative, held) };
  }
  /** The newest promise of this payer, where what it proposed is older: its ledger may have been lost. */
  const newerThanProposed = (): SignedPromise | undefined => {
    const theirs = ledger.channels().filter(({ signer }) => signer === proposal.signer);
    const newest = theirs.map(({ best }) => best).reduce<SignedPromise | undefined>((a, b) => (a && a.seq > b.seq ? a : b), undefined);
    const own = ledger.channel(ref)?.best;
    const { promise } = proposal;
    if (newest && newest.total > (promise?.total ?? 0n)) return newest;
    return own && own.cumulative > (promise?.cumulative ?? 0n) ? own : undefined;
  };

  const ticker = setInterval(look, tickMs);
  const stream = holdStream(first, {
    onMessage: async (message) => {
      if (message.t === "received") grant?.acknowledge?.(message.bytes);
      else if (message.t === "close") await handle({ type: "closeAsked" });
      else await handle({ type: "purchase", n: message.n, bought: message.bought, promise: message.promise });
    },
    onLost: (code, message) => session.send({ type: "lost", code, message }),
  });
  session.send({ type: "purchase", n: 0, bought: proposal.bought, promise: proposal.promise, consumed: proposal.consumed });
  return session;
}
