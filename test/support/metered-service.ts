import { type Clock, systemClock } from "../../src/lib/clock.ts";
import type { MystError } from "../../src/lib/errors.ts";
import type { Grant, ServiceConsumer, ServiceProvider } from "../../src/services/service.ts";
import { consumerPatience, createUnanswered, exitPatience } from "../../src/services/unanswered.ts";

/**
 * A service of a few lines, to show that a session needs no VPN: the provider hands out units on request, the consumer counts
 * what it got. Both ends live in one process.
 */
export function meteredService(clock: Clock = systemClock) {
  const grants = new Map<string, { used: bigint; allowed: bigint; ended: boolean; told: bigint[] }>();
  let onUsage: (bytes: bigint) => void = () => undefined;
  let fail: (error: MystError) => void = () => undefined;
  /** of the session opened last: one that ends late has a count of its own */
  let count = { received: 0n };
  let ours = createUnanswered({ clock }, consumerPatience);
  let theirs = createUnanswered({ clock }, exitPatience);
  let honest = true;
  let current = "";
  const spoilt = new Set<string>();

  const provider: ServiceProvider = {
    kind: "units",
    policySummary: () => "units for anybody",
    closedPorts: () => [],
    admit: async ({ sessionId }) => {
      const state = { used: 0n, allowed: 0n, ended: false, told: [] as bigint[] };
      theirs = createUnanswered({ clock }, exitPatience);
      grants.set(sessionId, state);
      const grant: Grant = {
        connection: { greeting: "hello" },
        usedBytes: () => state.used,
        unanswered: () => (honest ? theirs.read() : { nowMs: 0, beyondMs: 0 }),
        allow: (total) => {
          state.allowed = total;
        },
        acknowledge: (bytes) => void state.told.push(bytes),
        suspend: () => {
          state.allowed = state.used;
        },
        end: async () => {
          if (spoilt.has("exit")) throw new Error("broken");
          state.ended = true;
          return state.used;
        },
      };
      return grant;
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
  const consumer: ServiceConsumer = {
    kind: "units",
    check: async () => undefined,
    open: async (opening) => {
      current = opening.sessionId;
      onUsage = opening.onUsage;
      fail = opening.onFailed ?? fail;
      const mine = { received: 0n };
      count = mine;
      ours = createUnanswered({ clock }, consumerPatience);
      return {
        usedBytes: () => mine.received,
        receivedBytes: () => mine.received,
        unanswered: () => ours.read(),
        endpoint: { units: "here" },
        close: async () => {
          if (spoilt.has("consumer")) throw new Error("broken");
          return mine.received;
        },
      };
    },
  };
  return {
    provider,
    consumer,
    /** Asks for `bytes`; the provider gives what it may. Resolves with what came. */
    take: (bytes: bigint): bigint => {
      const state = grants.get(current);
      if (!state || state.ended) return 0n;
      const left = state.allowed - state.used;
      const got = bytes < left ? bytes : left > 0n ? left : 0n;
      state.used += got;
      count.received += got;
      onUsage(count.received);
      return got;
    },
    /** what the consumer said had reached it */
    told: (): bigint[] => grants.get(current)?.told ?? [],
    /** makes the consumer's side break */
    fail: (error: MystError) => fail(error),
    /** makes the provider count more than it gave */
    inflate: (bytes: bigint) => {
      const state = grants.get(current);
      if (state) state.used += bytes;
    },
    /** makes its end fail on one side */
    spoil: (side: "exit" | "consumer") => void spoilt.add(side),
    /** The consumer's side has asked for something, and it has reached the other: what is taken next answers it. */
    asks: () => ours.asked(),
    isAsked: () => theirs.asked(),
    /** The exit's side lets the answer pass, if it may carry anything; the consumer's is still to see it, by `seesAnswer`. */
    answers: (): boolean => {
      const state = grants.get(current);
      if (!state || state.ended || state.allowed <= state.used) return false;
      state.used += 1n;
      theirs.answered();
      return true;
    },
    seesAnswer: () => {
      count.received += 1n;
      ours.answered();
      onUsage(count.received);
    },
    givesUp: () => {
      ours.settled();
      theirs.settled();
    },
    /** makes the exit's side sell the time in which it waits */
    sellWaits: () => {
      honest = false;
    },
  };
}
