import type { SignedPromise } from "../../src/payments/promise.ts";
import { QUANTUM_BYTES, quantumMoney } from "../../src/payments/quantum.ts";
import { consumerPatience, createUnanswered, exitPatience } from "../../src/services/unanswered.ts";
import { stepConsumer } from "../../src/session/consumer.ts";
import { type ConsumerEffect, type ConsumerEvent, type ConsumerState, initialConsumer } from "../../src/session/consumer-state.ts";
import { initialProvider, type ProviderEffect, type ProviderEvent, type ProviderState, stepProvider } from "../../src/session/provider.ts";

/** five seconds cost about as much as a MiB: both halves of a quantum show */
export const prices = { perHour: 3_600_000n * 200n, perGiB: 1n << 30n };
const terms = { ...prices, quantum: quantumMoney(prices, 0n), validUntilMs: 0 };
const rich = 1n << 60n;
const tickMs = 250;

export type SimulationOptions = {
  /** what the line takes one way, asked for each message */
  delayMs(): number;
  /** how the exit counts time: as it should, or as if it were never waiting, and then it never ends the session either */
  exit?: "honest" | "sells waits";
  /** whether the consumer leaves out the time in which it waits; default true */
  minds?: boolean;
};

/**
 * Both transition tables and both meters against each other, on a clock of their own and over a line with delays. The service is the
 * least that shows a wait: a question of one byte goes up, an answer of some comes down, both through the exit's gate.
 */
export function simulateSession({ delayMs, exit = "honest", minds = true }: SimulationOptions) {
  let now = 0;
  const happenings: { atMs: number; order: number; run: () => void }[] = [];
  let order = 0;
  const at = (atMs: number, run: () => void) => {
    order += 1;
    happenings.push({ atMs: Math.round(atMs), order, run });
  };
  /** Messages of one way arrive in the order in which they were sent. */
  const lane = () => {
    let lastMs = 0;
    return (run: () => void) => {
      lastMs = Math.max(lastMs, now + delayMs());
      at(lastMs, run);
    };
  };
  const [up, down] = [lane(), lane()];
  const clock = { nowMs: () => now };
  const ours = createUnanswered({ clock }, consumerPatience);
  const theirs = createUnanswered({ clock }, exitPatience);
  const none = { nowMs: 0, beyondMs: 0 };
  const start = { cumulative: 0n, consumed: 0n };
  let consumer: ConsumerState = initialConsumer({ terms, budget: rich, start });
  let provider: ProviderState = initialProvider({ terms, start });
  let openedMs = 0;
  let admittedMs = 0;
  let heardMs = 0;
  let counted = 0n;
  const gate = { used: 0n, allowed: 0n, suspended: false, waiting: [] as { bytes: bigint; pass: () => void; sinceMs: number }[] };
  let longestHeldMs = 0;
  let answers = 0;
  let over = false;

  const promise = (cumulative: bigint): SignedPromise => ({
    ...{ channel: `0x${"00".repeat(32)}`, cumulative, total: cumulative, seq: cumulative, signature: new Uint8Array(64) },
  });
  const count = () => {
    const { nowMs: waitingMs, beyondMs } = minds ? ours.read() : none;
    return { used: { bytes: counted, ms: now - openedMs - beyondMs }, elapsedMs: now - openedMs, waitingMs };
  };
  const theirCount = () => {
    const { nowMs, beyondMs } = exit === "honest" ? theirs.read() : none;
    return { used: { bytes: gate.used, ms: now - admittedMs - beyondMs }, elapsedMs: now - admittedMs, waiting: nowMs > 0 };
  };
  const flush = () => {
    while (gate.waiting[0] && !gate.suspended && gate.used + gate.waiting[0].bytes <= gate.allowed) {
      const { bytes, pass, sinceMs } = gate.waiting.shift() as (typeof gate.waiting)[number];
      longestHeldMs = Math.max(longestHeldMs, now - sinceMs);
      gate.used += bytes;
      pass();
    }
  };
  const through = (bytes: bigint, pass: () => void) => {
    gate.waiting.push({ bytes, pass, sinceMs: now });
    flush();
  };
  const hears = (message: Extract<ConsumerEvent, { type: "received" }>["message"]) =>
    down(() => {
      heardMs = now;
      toConsumer({ type: "received", message });
    });
  const performs: { [E in ConsumerEffect as E["type"]]: (effect: E) => void } = {
    sign: ({ cumulative }) => toConsumer({ type: "signed", promise: promise(cumulative) }),
    propose: ({ bought, promise }) => up(() => toProvider({ type: "purchase", n: 0, bought, promise })),
    pay: ({ n, bought, promise }) => up(() => toProvider({ type: "purchase", n, bought, promise })),
    payAgain: ({ n, bought }) => up(() => toProvider({ type: "purchase", n, bought, promise: promise(consumer.cumulative) })),
    openService: () => {
      openedMs = heardMs = now;
      toConsumer({ type: "opened" });
    },
    closeService: () => toConsumer({ type: "serviceClosed", used: count().used }),
    sendClose: () => up(() => toProvider({ type: "closeAsked" })),
    finish: () => {
      over = true;
    },
  };
  const theirsToPerform: { [E in ProviderEffect as E["type"]]: (effect: E) => void } = {
    accept: ({ promise }) => {
      const cumulative = promise?.cumulative ?? provider.cumulative;
      at(now + 3, () => toProvider({ type: "purchased", cumulative }));
    },
    admit: () => {
      admittedMs = now;
      toProvider({ type: "admitted", connection: {} });
    },
    allow: ({ bytes }) => {
      gate.allowed = bytes;
      gate.suspended = false;
      flush();
    },
    suspend: () => {
      gate.suspended = true;
    },
    sendAccepted: () => hears({ t: "accepted", termsSignature: new Uint8Array(64), connection: {} }),
    sendRefused: ({ code, message }) => hears({ t: "refused", code, message }),
    sendAck: ({ n }) => hears({ t: "ack", n }),
    takeStream: ({ n }) => hears({ t: "rejoined", n }),
    sendInvoice: ({ used }) => hears({ t: "invoice", used }),
    sendClosed: ({ used }) => hears({ t: "closed", used }),
    endService: () => toProvider({ type: "ended", used: theirCount().used }),
    record: () => undefined,
    requestSettle: () => undefined,
    hangUp: () => undefined,
  };
  function toConsumer(event: ConsumerEvent): void {
    const next = stepConsumer(consumer, event);
    consumer = next.state;
    for (const effect of next.effects) (performs[effect.type] as (effect: ConsumerEffect) => void)(effect);
  }
  function toProvider(event: ProviderEvent): void {
    // one that lives from waits does not give up the place
    if (exit === "sells waits" && event.type === "used")
      provider = { ...provider, suspendedSinceMs: provider.suspendedSinceMs && event.elapsedMs, boughtAtMs: event.elapsedMs };
    const next = stepProvider(provider, event);
    provider = next.state;
    for (const effect of next.effects) (theirsToPerform[effect.type] as (effect: ProviderEffect) => void)(effect);
  }
  const report = () => {
    if (openedMs > 0) toConsumer({ type: "used", ...count(), silentMs: now - heardMs });
  };
  const look = () => {
    if (admittedMs > 0) toProvider({ type: "used", ...theirCount() });
  };
  const counts = (bytes: bigint, answer: boolean) =>
    down(() => {
      counted += bytes;
      if (answer) {
        answers += 1;
        ours.answered();
      }
      report();
    });

  const run = (untilMs: number, each: () => void = () => undefined) => {
    for (;;) {
      happenings.sort((a, b) => a.atMs - b.atMs || a.order - b.order);
      const next = happenings[0];
      if (!next || next.atMs > untilMs || over) break;
      happenings.shift();
      now = next.atMs;
      next.run();
      each();
    }
    now = untilMs;
  };
  const ticks = () => {
    report();
    look();
    at(now + tickMs, ticks);
  };
  at(0, () => toConsumer({ type: "start", stored: undefined }));
  at(1, ticks);
  return {
    run,
    at,
    nowMs: () => now,
    consumer: () => consumer,
    provider: () => provider,
    answers: () => answers,
    /** the longest that an answer or a question stood at the exit's gate */
    longestHeldMs: () => longestHeldMs,
    /** A program asks. The target answers after `answerMs`; without it, nobody ever does. */
    ask: (id: number, answerMs?: number, bytes: bigint = QUANTUM_BYTES / 100n) => {
      ours.asked(id);
      up(() => {
        theirs.asked(id);
        if (answerMs === undefined) return;
        through(1n, () => {
          counts(1n, false);
          at(now + answerMs, () =>
            through(bytes, () => {
              theirs.answered();
              counts(bytes, true);
            }),
          );
        });
      });
    },
    /** The program has given up. */
    giveUp: (id: number) => {
      ours.settled(id);
      up(() => theirs.settled(id));
    },
    disconnect: () => toConsumer({ type: "disconnect" }),
  };
}
