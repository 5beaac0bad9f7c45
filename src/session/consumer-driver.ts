import { randomBytes } from "node:crypto";
import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { asMystError, type ErrorCode, MystError } from "../lib/errors.ts";
import { deadline } from "../lib/lifecycle.ts";
import { runMachine } from "../lib/machine.ts";
import type { Logger } from "../lib/ports.ts";
import type { Network } from "../network/network.ts";
import type { PayerChannel, PayerLedger } from "../payments/payer-ledger.ts";
import type { SignedPromise } from "../payments/promise.ts";
import type { Credit } from "../payments/quantum.ts";
import type { Terms } from "../payments/terms.ts";
import type { ServiceConsumer, ServiceHandle } from "../services/service.ts";
import { stepConsumer } from "./consumer.ts";
import { buyEveryMs, type ConsumerEffect, type ConsumerEvent, type ConsumerState, initialConsumer } from "./consumer-state.ts";
import { type ConsumerStream, openConsumerStream } from "./consumer-stream.ts";
import { endError } from "./end-error.ts";
import { type Look, lookAt } from "./look.ts";
import { type Proposal, sessionProtocol, type ToConsumer } from "./messages.ts";

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
  exit: { peer: string; address: Hex /** of its offer */; policy?: string };
  terms: Terms;
  budget: bigint;
  signal: AbortSignal;
  /** the exit has so long to answer the proposal, and then its service to open; default 10 s */
  answerMs?: number;
  /** The stream broke; `rejoin` or `leave` is to follow. Absent: that ends the session. */
  onLost?(error: MystError): void;
  /** after every transition */
  onChange?(state: ConsumerState): void;
  onPromise?(promise: SignedPromise, state: ConsumerState, sessionId: string): void;
};

export type ConsumerSession = {
  id: string;
  channel: PayerChannel;
  endpoint: Record<string, string>;
  state(): ConsumerState;
  look(): Look;
  /** see `ServiceHandle.inside` */
  inside?: ServiceHandle["inside"];
  disconnect(): Promise<void>;
  /** Goes on over a new stream to the same exit; nothing is paid twice. @throws as `ConsumerStream.rejoin` does */
  rejoin(signal: AbortSignal): Promise<void>;
  /** Ends it at once, whatever the exit says; nothing more is paid. */
  leave(code: ErrorCode, message: string): void;
  /** resolves with the last state */
  ended: Promise<ConsumerState>;
};

const defaultAnswerMs = 10_000;
const closeMs = 5_000;
const tickMs = 250;
/** What has reached us is told with each promise, and at least so often: where it is more, and where it is the same, for then the rest is lost. */
const tellMs = { more: 500, same: 1_000 };
/** we have stood still ourselves when so long has passed since the last tick: what the exit said meanwhile is still to be read */
const stallMs = 2_000;

/**
 * Opens a paid session with an exit and keeps paying as it is used.
 * Resolves once traffic can flow.
 * @throws what ended it before: PEER_UNREACHABLE, PEER_TIMEOUT, PEER_REFUSED, EXIT_FULL, CREDIT_MISMATCH (meta.consumed), PORT_IN_USE ...
 */
export async function openSession(deps: ConsumerDeps, options: ConsumerSessionOptions): Promise<ConsumerSession> {
  const { clock, ledger } = deps;
  const { exit, terms, signal, answerMs = defaultAnswerMs } = options;
  const channel = await ledger.channelWith(exit);
  const session = Uint8Array.from(randomBytes(16));
  const id = Buffer.from(session).toString("hex");
  const log = deps.log.child("session");
  const ended = Promise.withResolvers<ConsumerState>();
  const opened = Promise.withResolvers<ServiceHandle>();
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
  let toldBytes: bigint | undefined;

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
    const isMore = handle?.receivedBytes?.() !== toldBytes;
    if (nowMs - toldMs >= (isMore ? tellMs.more : tellMs.same)) tellReceived().catch(fail);
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
  const closeService = async (alone: boolean) => {
    try {
      return (await handle?.close(alone)) ?? 0n;
    } catch (error) {
      failsToEnd(error);
      return handle?.usedBytes() ?? 0n;
    }
  };
  /** What has reached us, where the exit bills by our word. */
  const tellReceived = async () => {
    const bytes = handle?.receivedBytes?.();
    if (bytes === undefined) return;
    toldMs = clock.nowMs();
    toldBytes = bytes;
    await stream.say({ t: "received", bytes });
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
        return stream.say({
          ...proposal(effect.bought, effect.promise),
          ...(deps.service.request && { request: await deps.service.request(id, exit.policy) }),
        });
      case "pay":
        await tellReceived();
        clearTimeout(soon);
        soon = setTimeout(report, buyEveryMs);
        return stream.say({ t: "promise", n: effect.n, bought: effect.bought, ...(effect.promise && { promise: effect.promise }) });
      case "payAgain": {
        const { last } = await ledger.channelWith(exit);
        return stream.say({ t: "promise", n: effect.n, bought: effect.bought, ...(last && { promise: last }) });
      }
      case "openService":
        startedMs = clock.nowMs();
        // a narrow way is slow to answer, and then to be found out
        inTime();
        handle = await deps.service.open({
          sessionId: id,
          peer: exit.peer,
          connection: effect.connection,
          onUsage: report,
          onSearch: () => clearTimeout(tooLong),
          onFailed: ({ code, message }) => send({ type: "failed", code, message }),
          signal: serviceOver.signal,
        });
        opened.resolve(handle);
        return send({ type: "opened" });
      case "closeService": {
        const bytes = await closeService(effect.alone);
        return send({ type: "serviceClosed", used: { bytes, ms: count().used.ms } });
      }
      case "sendClose":
        leaving = setTimeout(() => {
          send({ type: "failed", code: "PEER_TIMEOUT", message: "the exit did not confirm the end" });
          // one that stands still may not even take what is being sent
          stream.abort(new Error("the exit did not confirm the end"));
        }, closeMs);
        await tellReceived();
        return stream.say({ t: "close" });
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

  const onMessage = async (message: ToConsumer) => {
    heardMs = clock.nowMs();
    if (message.t === "refused" && message.promise)
      await ledger.shown(message.promise).catch((error) => {
        behind = error;
      });
    await dealWith({ type: "received", message, ...(startedMs !== undefined && { elapsedMs: heardMs - startedMs }) });
    if (message.t === "ack") report();
  };
  let tooLong: NodeJS.Timeout | undefined;
  const inTime = () => {
    clearTimeout(tooLong);
    const late = () => send({ type: "failed", code: "PEER_TIMEOUT", message: "the exit did not answer the proposal" });
    tooLong = setTimeout(late, answerMs);
  };
  const stream: ConsumerStream = await openConsumerStream(
    {
      open: (until) => deps.network.openFrames(exit.peer, sessionProtocol, until),
      onMessage,
      onEnd: (code, message) => send({ type: "failed", code, message }),
      onLost: (error) => {
        const { phase } = machine.state();
        if (options.onLost && (phase === "ACTIVE" || phase === "DISPUTED")) options.onLost(error);
        else send({ type: "failed", code: error.code, message: error.message });
      },
    },
    deadline(answerMs, signal),
  );
  heardMs = reportedMs = clock.nowMs();
  const leave = () => send({ type: "disconnect" });
  signal.addEventListener("abort", leave, { once: true });
  const ticker = setInterval(report, tickMs);
  inTime();
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
  stream.listen();
  const service = await opened.promise;
  clearTimeout(tooLong);
  return {
    id,
    channel,
    get endpoint() {
      return service.endpoint;
    },
    state: machine.state,
    look: () => lookAt(service, clock.nowMs() - heardMs),
    ...(service.inside && { inside: service.inside }),
    rejoin: (until) => stream.rejoin(session, deadline(answerMs, until)),
    leave: (code, message) => send({ type: "failed", code, message }),
    ended: ended.promise,
    disconnect: async () => {
      leave();
      await ended.promise;
    },
  };
}
