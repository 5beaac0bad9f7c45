import { randomBytes } from "node:crypto";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { asMystError, type ErrorCode, MystError } from "../lib/errors.ts";
import { deadline } from "../lib/lifecycle.ts";
import { runMachine } from "../lib/machine.ts";
import type { Logger } from "../lib/ports.ts";
import type { FrameStream, Network } from "../network/network.ts";
import type { PayerChannel, PayerLedger } from "../payments/payer-ledger.ts";
import type { SignedPromise } from "../payments/promise.ts";
import type { Credit } from "../payments/quantum.ts";
import type { Terms } from "../payments/terms.ts";
import type { ServiceConsumer, ServiceHandle } from "../services/service.ts";
import { stepConsumer } from "./consumer.ts";
import { buyEveryMs, type ConsumerEffect, type ConsumerEvent, type ConsumerState, initialConsumer } from "./consumer-state.ts";
import { type Proposal, sessionProtocol, type ToProvider, toConsumerCodec, toProviderCodec } from "./messages.ts";

export type ConsumerDeps = {
  network: Pick<Network, "openFrames">;
  ledger: Pick<PayerLedger, "channelWith" | "promise" | "consume" | "shown">;
  /** all deposits of the payer's account, as last read */
  line(): bigint;
  service: ServiceConsumer;
  /** what a purchase may cost so that the exit takes it at once, as it is now */
  credit?(): Credit;
  /** signs the terms (EIP-712 `Terms`), 64 bytes */
  signTerms(session: Uint8Array, channel: Hex, terms: Terms): Uint8Array;
  signer: Hex;
  clock: Clock;
  log: Logger;
  /** what a session does about an event; default `stepConsumer` */
  step?: typeof stepConsumer;
};

export type ConsumerSessionOptions = {
  exit: { peer: string; address: Hex };
  terms: Terms;
  budget: bigint;
  signal: AbortSignal;
  /** after every transition */
  onChange?(state: ConsumerState): void;
  onPromise?(promise: SignedPromise, state: ConsumerState, sessionId: string): void;
};

export type ConsumerSession = {
  id: string;
  channel: PayerChannel;
  endpoint: Record<string, string>;
  state(): ConsumerState;
  disconnect(): Promise<void>;
  /** resolves with the last state */
  ended: Promise<ConsumerState>;
};

const answerMs = 10_000;
const tickMs = 250;
/** What has reached us is told with each promise, and at least so often: also that nothing has, for then the rest is lost. */
const tellMs = 250;
/** we have stood still ourselves when so long has passed since the last tick: what the exit said meanwhile is still to be read */
const stallMs = 2_000;

/**
 * Opens a paid session with an exit and keeps paying as it is used.
 * Resolves once traffic can flow.
 * @throws what ended it before: PEER_UNREACHABLE, PEER_TIMEOUT, PEER_REFUSED, EXIT_FULL, CREDIT_MISMATCH (meta.consumed), PORT_IN_USE ...
 */
export async function openSession(deps: ConsumerDeps, options: ConsumerSessionOptions): Promise<ConsumerSession> {
  const { clock, ledger } = deps;
  const { exit, terms, signal } = options;
  const channel = await ledger.channelWith(exit);
  const stream = await deps.network.openFrames(exit.peer, sessionProtocol, deadline(answerMs, signal));
  const session = Uint8Array.from(randomBytes(16));
  const id = Buffer.from(session).toString("hex");
  const log = deps.log.child("session");
  const ended = Promise.withResolvers<ConsumerState>();
  const opened = Promise.withResolvers<void>();
  opened.promise.catch(() => undefined);
  const serviceOver = new AbortController();
  let handle: ServiceHandle | undefined;
  let startedMs: number | undefined;
  let leaving: NodeJS.Timeout | undefined;
  /** when the next purchase may be made: a service that is held up tells nothing that would lead to it */
  let soon: NodeJS.Timeout | undefined;
  let reported = false;
  let reportedMs = clock.nowMs();
  let heardMs = reportedMs;
  let toldMs = reportedMs;

  const machine = runMachine<ConsumerState, ConsumerEvent, ConsumerEffect>({
    initial: initialConsumer({ terms, budget: options.budget, start: channel, credit: deps.credit?.() }),
    step: deps.step ?? stepConsumer,
    perform,
    onTransition: (_, event, to) => {
      if (event.type === "received" && event.message.t === "refused") refusedWith = event.message;
      options.onChange?.(to);
    },
  });
  let refusedWith: { code: string; message: string; consumed?: bigint | undefined } | undefined;
  /** the exit has shown a promise of ours that the ledger lacks */
  let behind: unknown;
  /** Resolves when all that follows from the event is done. */
  const dealWith = (event: ConsumerEvent): Promise<void> => machine.send(event).catch(fail);
  const send = (event: ConsumerEvent) => void dealWith(event);
  const fail = (error: unknown) => {
    const { code, message } = asMystError(error);
    log.warn("the session fails", { session: id, code, message });
    machine.send({ type: "failed", code, message }).catch((again) => {
      log.error("the session cannot be ended in order", { session: id, code: asMystError(again).code });
      ended.resolve(machine.state());
    });
  };
  const count = () => {
    const elapsedMs = startedMs === undefined ? 0 : clock.nowMs() - startedMs;
    const { nowMs: waitingMs, beyondMs } = handle?.unanswered() ?? { nowMs: 0, beyondMs: 0 };
    const droppedBytes = handle?.droppedBytes?.() ?? 0n;
    return { used: { bytes: handle?.usedBytes() ?? 0n, ms: elapsedMs - beyondMs }, elapsedMs, waitingMs, droppedBytes };
  };
  const report = () => {
    if (reported) return;
    reported = true;
    const nowMs = clock.nowMs();
    if (nowMs - toldMs >= tellMs) tellReceived().catch(fail);
    if (nowMs - reportedMs > stallMs) heardMs = nowMs;
    reportedMs = nowMs;
    machine
      .send({ type: "used", ...count(), silentMs: nowMs - heardMs, credit: deps.credit?.() })
      .catch(fail)
      .finally(() => {
        reported = false;
      });
  };
  const failsToEnd = (error: unknown) => log.error("a session's end went wrong", { session: id, code: asMystError(error).code });
  const closeService = async () => {
    try {
      return (await handle?.close()) ?? 0n;
    } catch (error) {
      failsToEnd(error);
      return handle?.usedBytes() ?? 0n;
    }
  };
  const say = (message: ToProvider) => stream.send(toProviderCodec.encode(message));
  /** What has reached us, where the exit bills by our word. */
  const tellReceived = async () => {
    const bytes = handle?.receivedBytes?.();
    if (bytes === undefined) return;
    toldMs = clock.nowMs();
    await say({ t: "received", bytes });
  };

  async function perform(effect: ConsumerEffect, state: ConsumerState): Promise<void> {
    switch (effect.type) {
      case "sign": {
        const { cumulative, consumed } = effect;
        const promise = await ledger.promise({ channel: channel.channel, cumulative, consumed, line: deps.line() });
        if (!promise) throw new MystError("INTERNAL", "the ledger signed nothing");
        options.onPromise?.(promise, state, id);
        return send({ type: "signed", promise });
      }
      case "propose":
        return say({
          ...proposal(effect.bought, effect.promise),
          ...(deps.service.request && { request: await deps.service.request(id) }),
        });
      case "pay":
        await tellReceived();
        clearTimeout(soon);
        soon = setTimeout(report, buyEveryMs);
        return say({ t: "promise", n: effect.n, bought: effect.bought, ...(effect.promise && { promise: effect.promise }) });
      case "openService":
        startedMs = clock.nowMs();
        handle = await deps.service.open({
          sessionId: id,
          peer: exit.peer,
          connection: effect.connection,
          onUsage: report,
          onFailed: ({ code, message }) => send({ type: "failed", code, message }),
          signal: serviceOver.signal,
        });
        opened.resolve();
        return send({ type: "opened" });
      case "closeService": {
        const bytes = await closeService();
        return send({ type: "serviceClosed", used: { bytes, ms: count().used.ms } });
      }
      case "sendClose":
        leaving = setTimeout(() => {
          send({ type: "failed", code: "PEER_TIMEOUT", message: "the exit did not confirm the end" });
          // one that stands still may not even take what is being sent
          stream.abort(new Error("the exit did not confirm the end"));
        }, answerMs / 2);
        await tellReceived();
        return say({ t: "close" });
      case "finish":
        clearTimeout(leaving);
        // The session is over all the same; of what it used up, the exit's own record reminds us.
        await ledger.consume(channel.channel, effect.consumed).catch(failsToEnd);
        ended.resolve(state);
    }
  }

  const proposal = (bought: Proposal["bought"], promise: SignedPromise | undefined): Proposal => ({
    t: "propose",
    session,
    service: deps.service.kind,
    ...terms,
    signer: deps.signer,
    salt: channel.salt,
    termsSignature: deps.signTerms(session, channel.channel, terms),
    consumed: channel.consumed,
    bought,
    ...(promise && { promise }),
  });

  const leave = () => send({ type: "disconnect" });
  signal.addEventListener("abort", leave, { once: true });
  const ticker = setInterval(report, tickMs);
  void listen(stream, async (event) => {
    heardMs = clock.nowMs();
    if (event.type !== "received") return dealWith(event);
    if (event.message.t === "refused" && event.message.promise)
      await ledger.shown(event.message.promise).catch((error) => {
        behind = error;
      });
    await dealWith({ ...event, ...(startedMs !== undefined && { elapsedMs: heardMs - startedMs }) });
    if (event.message.t === "ack") report();
  });
  const tooLong = setTimeout(
    () => send({ type: "failed", code: "PEER_TIMEOUT", message: "the exit did not answer the proposal" }),
    answerMs,
  );
  void ended.promise.then(async (state) => {
    clearInterval(ticker);
    clearTimeout(soon);
    clearTimeout(tooLong);
    signal.removeEventListener("abort", leave);
    serviceOver.abort();
    opened.reject(behind ?? endError(state, refusedWith, signal));
    await stream.close().catch(() => undefined);
  });
  send({ type: "start", stored: channel.last });
  await opened.promise;
  clearTimeout(tooLong);
  if (handle === undefined) throw new MystError("INTERNAL", "the service is open without a handle");
  return {
    id,
    channel,
    endpoint: handle.endpoint,
    state: machine.state,
    ended: ended.promise,
    disconnect: async () => {
      leave();
      await ended.promise;
    },
  };
}

/**
 * Feeds what the exit says to the machine until the stream ends; anything but a message ends it too. The next is read once the last
 * is dealt with, so that an exit cannot make them pile up here.
 */
async function listen(stream: FrameStream, handle: (event: ConsumerEvent) => Promise<void>): Promise<void> {
  try {
    for (;;) {
      const frame = await stream.receive();
      if (frame === undefined) return void handle({ type: "failed", code: "PEER_UNREACHABLE", message: "the exit ended the session" });
      await handle({ type: "received", message: toConsumerCodec.decode(frame) });
    }
  } catch (error) {
    const { code, message } = asMystError(error, "PEER_UNREACHABLE");
    stream.abort(error as Error);
    void handle({ type: "failed", code, message });
  }
}

/** What a peer may end a proposal with; any other code of its is told as PEER_REFUSED. */
const passedOn: ErrorCode[] = [
  "EXIT_FULL",
  "PAYER_REFUSED",
  "OFFER_EXPIRED",
  "SERVICE_UNKNOWN",
  "CREDIT_MISMATCH",
  "PROMISE_REFUSED",
  "PAYER_CONFLICT",
  "NO_DEPOSIT",
  "ACCOUNT_CLOSING",
];

function endError(
  state: ConsumerState,
  refused: { code: string; message: string; consumed?: bigint | undefined } | undefined,
  signal: AbortSignal,
) {
  if (signal.aborted) return new MystError("INTERRUPTED", "interrupted before the session was open");
  const code = passedOn.find((known) => known === refused?.code);
  if (refused)
    return new MystError(code ?? "PEER_REFUSED", `the exit refused: ${refused.message}`, {
      ...(refused.consumed !== undefined && { meta: { consumed: refused.consumed } }),
    });
  return new MystError(state.reason?.code ?? "PEER_UNREACHABLE", state.reason?.message ?? "the session ended before it was open");
}
