import {
  growthLimit,
  idleAfterMs,
  isToTell,
  newcomerLimit,
  seenAfterMs,
  seenOf,
  type Told,
  telling,
  tellSpacingMs,
} from "../../src/payments/heads/limits.ts";
import type { SignedPromise } from "../../src/payments/promise.ts";
import { creditOf, quantumLimit } from "../../src/payments/quantum.ts";
import { due, type Terms } from "../../src/payments/terms.ts";
import { stepConsumer } from "../../src/session/consumer.ts";
import {
  buyEveryMs,
  type ConsumerEffect,
  type ConsumerEvent,
  type ConsumerState,
  initialConsumer,
} from "../../src/session/consumer-state.ts";
import { initialProvider, type ProviderEffect, type ProviderEvent, type ProviderState, stepProvider } from "../../src/session/provider.ts";

export const prices = { perHour: 10n ** 16n, perGiB: 10n ** 17n };
const budget = 1n << 70n;

export type SimulatedLine = {
  /** bit/s */
  rate: number;
  /** there and back */
  rttMs: number;
  /** what the exit takes to check a promise and put it on disk, asked for each */
  decideMs(): number;
  forMs: number;
  /** what the terms say a quantum may come to, where it is not the usual */
  quantum?: bigint;
  /** what the exit goes by in giving credit for what others have not seen; default: it gives any. `minds`: whether the consumer buys accordingly, default true */
  unseen?: { bond: bigint; exits: number; channels: number; minds?: boolean };
};

export type SimulatedDownload = {
  /** until the service was open, from the consumer's first word */
  openMs: number;
  /** of what the bare line carries in the same time */
  share: number;
  /** the same, once the quantum has grown: without the first 3 s */
  steadyShare: number;
  /** until a tenth of a second was carried at 95 % of the bare line for the first time; undefined: never */
  rampMs: number | undefined;
  promisesPerSecond: number;
  /** heads that the exit has told of */
  headsPerSecond: number;
  /** promises that had to wait until others had seen them */
  waits: number;
  /** base units: the most that was promised and not served, in the worst moment */
  mostAhead: bigint;
  terms: Terms;
};

const rampWindowMs = 100;
const steadyFromMs = 3_000;

/**
 * A download as fast as the line takes it, paid for by the two transition tables, on a clock of its own that goes by milliseconds.
 * Nothing but what is bought holds up the exit; the consumer sees what has crossed the line, half a round trip later.
 */
export function simulateDownload({
  rate,
  rttMs,
  decideMs,
  forMs,
  quantum = quantumLimit(prices, budget),
  unseen,
}: SimulatedLine): SimulatedDownload {
  const perMs = BigInt(Math.round(rate / 8_000));
  const wayMs = Math.round(rttMs / 2);
  const start = { cumulative: 0n, consumed: 0n };
  const terms: Terms = { ...prices, quantum, validUntilMs: 0 };
  const credit = unseen && (unseen.minds ?? true) ? creditOf(unseen.bond, unseen) : undefined;
  let consumer: ConsumerState = initialConsumer({ terms, budget, start, credit });
  let provider: ProviderState = initialProvider({ terms, start });
  let now = 0;
  const agenda: Map<number, (() => void)[]> = new Map();
  const after = (ms: number, run: () => void) => {
    const at = now + Math.max(0, Math.round(ms));
    agenda.set(at, [...(agenda.get(at) ?? []), run]);
  };
  let openedMs: number | undefined;
  let admittedMs: number | undefined;
  let heardMs = 0;
  let allowed = 0n;
  let sent = 0n;
  let got = 0n;

  const promise = (cumulative: bigint): SignedPromise => ({
    ...{ channel: `0x${"00".repeat(32)}`, cumulative, total: cumulative, seq: cumulative, signature: new Uint8Array(64) },
  });
  const hears = (message: Extract<ConsumerEvent, { type: "received" }>["message"]) =>
    after(wayMs, () => {
      heardMs = now;
      toConsumer({ type: "received", message, ...(openedMs !== undefined && { elapsedMs: now - openedMs }) });
      if (message.t === "ack") report();
    });
  let told: Told[] = [];
  let heads = 0;
  let waits = 0;
  const tell = (cumulative: bigint) => {
    heads += 1;
    told = telling(told, { cumulative, atMs: now }, now, seenAfterMs);
  };
  const accept = (cumulative: bigint, isFirst: boolean) => {
    const growth = unseen ? growthLimit(unseen.bond, unseen.channels) : 0n;
    const seen = seenOf(told, now, seenAfterMs);
    const limit = unseen && (seen && now - seen.atMs <= idleAfterMs ? growth : newcomerLimit(unseen.bond, unseen.exits));
    const last = told.at(-1);
    if (limit !== undefined && cumulative - (seen?.cumulative ?? 0n) > limit) {
      if (isFirst) waits += 1;
      if (!last || (last.cumulative < cumulative && now - last.atMs >= tellSpacingMs)) tell(cumulative);
      return after(500, () => accept(cumulative, false));
    }
    toProvider({ type: "purchased", cumulative });
    tellSoon(cumulative, growth);
  };
  const tellSoon = (cumulative: bigint, growth: bigint) => {
    if (unseen && cumulative === provider.cumulative && isToTell(told, cumulative, growth, now)) tell(cumulative);
    else if (unseen && cumulative === provider.cumulative && told.at(-1)?.cumulative !== cumulative)
      after(tellSpacingMs / 2, () => tellSoon(cumulative, growth));
  };
  function consumerPerforms(effect: ConsumerEffect): void {
    switch (effect.type) {
      case "sign":
        toConsumer({ type: "signed", promise: promise(effect.cumulative) });
        break;
      case "propose":
        after(wayMs, () => toProvider({ ...effect, type: "purchase", n: 0 }));
        break;
      case "pay":
        after(buyEveryMs, report);
        after(wayMs, () => toProvider({ ...effect, type: "purchase" }));
        break;
      case "openService":
        openedMs = now;
        toConsumer({ type: "opened" });
        break;
      default:
        throw new Error(`the session ends: ${consumer.reason?.message}`);
    }
  }
  function providerPerforms(effect: ProviderEffect): void {
    switch (effect.type) {
      case "accept":
        after(decideMs(), () => accept(effect.promise?.cumulative ?? provider.cumulative, true));
        break;
      case "admit":
        admittedMs = now;
        toProvider({ type: "admitted", connection: {} });
        break;
      case "allow":
        allowed = effect.bytes;
        break;
      case "sendAccepted":
        hears({ t: "accepted", termsSignature: new Uint8Array(64), connection: {} });
        break;
      case "sendAck":
        hears({ t: "ack", n: effect.n });
        break;
      case "sendInvoice":
        hears({ t: "invoice", used: effect.used });
        break;
      default:
        throw new Error(`the exit does what it should not: ${effect.type}`);
    }
  }
  function toConsumer(event: ConsumerEvent): void {
    const next = stepConsumer(consumer, event);
    consumer = next.state;
    for (const effect of next.effects) consumerPerforms(effect);
  }
  function toProvider(event: ProviderEvent): void {
    const next = stepProvider(provider, event);
    provider = next.state;
    for (const effect of next.effects) providerPerforms(effect);
  }
  const report = () => {
    if (openedMs === undefined) return;
    const elapsedMs = now - openedMs;
    toConsumer({ type: "used", used: { bytes: got, ms: elapsedMs }, elapsedMs, waitingMs: 0, silentMs: now - heardMs });
  };
  const look = () => {
    if (admittedMs === undefined) return;
    const elapsedMs = now - admittedMs;
    toProvider({ type: "used", used: { bytes: sent, ms: elapsedMs }, elapsedMs, waiting: false });
  };

  let rampMs: number | undefined;
  let mostAhead = 0n;
  let firstMs: number | undefined;
  const marks = { window: 0n, steady: 0n };
  toConsumer({ type: "start", stored: undefined });
  for (; firstMs === undefined || now < firstMs + forMs; now += 1) {
    for (let runs = agenda.get(now); runs; runs = agenda.get(now)) {
      agenda.delete(now);
      for (const run of runs) run();
    }
    if (openedMs !== undefined && firstMs === undefined) firstMs = now;
    if (firstMs === undefined) continue;
    const room = allowed - sent;
    const bytes = room < perMs ? room : perMs;
    if (bytes > 0n) {
      sent += bytes;
      after(wayMs, () => {
        got += bytes;
        report();
      });
    }
    if (now % 250 === 0) {
      look();
      report();
    }
    const passedMs = now - firstMs;
    if (passedMs === steadyFromMs) marks.steady = sent;
    if (passedMs % rampWindowMs === 0) {
      if (rampMs === undefined && (sent - marks.window) * 100n >= perMs * BigInt(rampWindowMs) * 95n) rampMs = passedMs;
      marks.window = sent;
    }
    const served = { bytes: got, ms: openedMs === undefined ? 0 : now - openedMs };
    const ahead = consumer.cumulative - due(prices, served);
    if (ahead > mostAhead) mostAhead = ahead;
  }
  const share = (bytes: bigint, ms: number) => Number(bytes) / Number(perMs * BigInt(ms));
  return {
    openMs: openedMs ?? 0,
    share: share(sent, forMs),
    steadyShare: share(sent - marks.steady, forMs - steadyFromMs),
    rampMs,
    promisesPerSecond: (consumer.promises * 1_000) / forMs,
    headsPerSecond: (heads * 1_000) / forMs,
    waits,
    mostAhead,
    terms,
  };
}
