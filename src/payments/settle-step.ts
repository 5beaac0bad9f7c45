import type { Hex } from "../lib/codec.ts";
import type { Step } from "../lib/machine.ts";
import type { Claim } from "./settlement.ts";

/** Claims of one transaction at most. */
export const batchSize = 50;
/** A transaction that fails on chain costs gas: after so many in a row the settler waits to be asked again. */
export const maxFailedTransactions = 5;
/** tries after which the wait grows no more: the chain may be back, and a transaction mined, at any time */
const growing = 5;

/** A transaction as it is on disk before it is sent. */
export type StoredSettlement = {
  nonce: number;
  hash: Hex;
  raw: Hex;
  /** those of the same claims and nonce that were sent before it, with lower fees: any of them may be mined */
  earlier?: Hex[] | undefined;
  claims: Claim[];
  /** what the claims are of, in their order */
  channels: string[];
};

/**
 * - `starting`: what a former run left is not read yet;
 * - `preparing`: claims are chosen and their transaction made;
 * - `sending`: the transaction is on disk and on its way;
 * - `waiting`: something failed, the next try has a time.
 */
export type SettleState = {
  phase: "starting" | "idle" | "preparing" | "sending" | "waiting";
  /** names of channels to be cleared, in the order they were asked for */
  queue: string[];
  /** sent, or about to be, and not known to be on chain */
  pending: StoredSettlement | undefined;
  /** failures in a row */
  failures: number;
};

export type SettleEvent =
  | { type: "restored"; pending: StoredSettlement | undefined }
  /** `urgent`: goes first, and does not wait for the time of the next try. `asker` names who waits for the outcome. */
  | { type: "asked"; channels: string[]; urgent: boolean; asker?: number }
  /** of the channels asked for, these are worth no claim (any more) or were put into `pending` */
  | { type: "prepared"; channels: string[]; pending: StoredSettlement | undefined }
  | { type: "settled" }
  /** sent, and nobody puts it into a block */
  | { type: "stuck" }
  /** the same with higher fees, or undefined when it is to be waited for as it is */
  | { type: "raised"; pending: StoredSettlement | undefined }
  /** `dead`: this transaction will never be on chain, or has failed there */
  | { type: "failed"; dead: boolean }
  | { type: "retry" };

export type SettleEffect =
  | { type: "prepare"; channels: string[] }
  | { type: "persist"; pending: StoredSettlement }
  | { type: "submit"; pending: StoredSettlement }
  | { type: "raise"; pending: StoredSettlement }
  | { type: "forget" }
  | { type: "wait"; failures: number }
  | { type: "giveUp"; channels: string[] };

export const settleStart: SettleState = { phase: "starting", queue: [], pending: undefined, failures: 0 };

/** ms before try number `failures`: doubles from `firstMs` up to sixteen times that. */
export const retryAfterMs = (firstMs: number, failures: number): number => firstMs * 2 ** (Math.min(failures, growing) - 1);

type Next = ReturnType<typeof settleStep>;

/** One transaction at a time: chosen, on disk, sent, and only when its fate is known the next. */
export const settleStep: Step<SettleState, SettleEvent, SettleEffect> = (state, event) => {
  switch (event.type) {
    case "restored":
      return state.phase === "starting" ? onward({ ...state, pending: event.pending }) : stay(state);
    case "asked": {
      const { queue } = state;
      const order = event.urgent ? [...event.channels, ...queue] : [...queue, ...event.channels];
      const next = { ...state, queue: [...new Set(order)] };
      return state.phase === "idle" || (state.phase === "waiting" && event.urgent) ? onward(next) : stay(next);
    }
    case "prepared": {
      if (state.phase !== "preparing") return stay(state);
      const next = { ...state, queue: state.queue.filter((channel) => !event.channels.includes(channel)) };
      if (!event.pending) return onward({ ...next, failures: 0 });
      return onward({ ...next, pending: event.pending });
    }
    case "settled": {
      if (state.phase !== "sending") return stay(state);
      const next = onward({ ...state, pending: undefined, failures: 0 });
      return { state: next.state, effects: [{ type: "forget" }, ...next.effects] };
    }
    case "stuck":
      return state.phase === "sending" && state.pending ? { state, effects: [{ type: "raise", pending: state.pending }] } : stay(state);
    case "raised":
      if (state.phase !== "sending") return stay(state);
      return event.pending ? onward({ ...state, pending: event.pending }) : patiently(state);
    case "failed":
      return failed(state, event.dead);
    case "retry":
      return state.phase === "waiting" ? onward(state) : stay(state);
  }
};

const stay = (state: SettleState): Next => ({ state, effects: [] });

/** What comes next: first a transaction that is made already (on disk before it goes out, also when an earlier try to write it failed), then what is asked for, then rest. */
function onward(state: SettleState): Next {
  const { pending } = state;
  if (pending)
    return {
      state: { ...state, phase: "sending" },
      effects: [
        { type: "persist", pending },
        { type: "submit", pending },
      ],
    };
  if (state.queue.length === 0) return stay({ ...state, phase: "idle" });
  return { state: { ...state, phase: "preparing" }, effects: [{ type: "prepare", channels: state.queue.slice(0, batchSize) }] };
}

/** The same again in a while. */
function patiently(state: SettleState): Next {
  const failures = state.failures + 1;
  return { state: { ...state, phase: "waiting", failures }, effects: [{ type: "wait", failures }] };
}

function failed(state: SettleState, dead: boolean): Next {
  if (state.phase !== "sending" && state.phase !== "preparing") return stay(state);
  if (!dead || !state.pending) return patiently(state);
  const failures = state.failures + 1;
  const { channels } = state.pending;
  if (failures < maxFailedTransactions) {
    const queue = [...new Set([...channels, ...state.queue])];
    const { state: waiting, effects } = patiently({ ...state, queue, pending: undefined });
    return { state: waiting, effects: [{ type: "forget" }, ...effects] };
  }
  const queue = state.queue.filter((channel) => !channels.includes(channel));
  const next = onward({ ...state, queue, pending: undefined, failures: 0 });
  return { state: next.state, effects: [{ type: "forget" }, { type: "giveUp", channels }, ...next.effects] };
}
