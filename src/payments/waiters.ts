import type { Hex } from "../lib/codec.ts";
import type { MystError } from "../lib/errors.ts";
import type { SettleEvent, SettleState } from "./settle-step.ts";

type Outcome = { hash?: Hex; claims: number; paid: bigint };
type Waiter = { outcome: Outcome; asked: boolean; resolve(outcome: Outcome): void; reject(error: MystError): void };

/** Those who asked for a settlement and wait for its end: from the machine's taking of their request until it rests or fails. */
export function createWaiters() {
  const waiting = new Map<number, Waiter>();
  let last = 0;
  const end = (finish: (waiter: Waiter) => void, all = false) => {
    for (const [asker, waiter] of waiting)
      if (all || waiter.asked) {
        waiting.delete(asker);
        finish(waiter);
      }
  };
  return {
    wait: (): { asker: number; outcome: Promise<Outcome> } => {
      const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
      last += 1;
      waiting.set(last, { outcome: { claims: 0, paid: 0n }, asked: false, resolve, reject });
      return { asker: last, outcome: promise };
    },
    /** One transaction has gone through while they waited. */
    add: ({ hash, claims, paid }: { hash: Hex; claims: unknown[]; paid: bigint }) => {
      for (const waiter of waiting.values())
        waiter.outcome = { hash, claims: waiter.outcome.claims + claims.length, paid: waiter.outcome.paid + paid };
    },
    /** For the machine's `onTransition`. */
    observe: (event: SettleEvent, to: SettleState, lastError: MystError) => {
      const waiter = event.type === "asked" && event.asker !== undefined ? waiting.get(event.asker) : undefined;
      if (waiter) waiter.asked = true;
      if (to.phase === "idle") end(({ resolve, outcome }) => resolve(outcome));
      if (event.type === "failed" || (event.type === "raised" && !event.pending)) end(({ reject }) => reject(lastError));
    },
    fail: (error: MystError) => end(({ reject }) => reject(error), true),
  };
}
