import { larger, smaller } from "../lib/bigint.ts";
import { seenAfterMs } from "../payments/heads/limits.ts";
import { nextPurchase, type Purchase } from "../payments/meter.ts";
import { QUANTUM_MS, quantumBytes, quantumMost, quantumWithin } from "../payments/quantum.ts";
import { due, type Usage } from "../payments/terms.ts";
import { consumerPatience } from "../services/unanswered.ts";
import type { ConsumerState } from "./consumer-state.ts";

/** By then the exit's first head counts as seen by others, however late its word came to us. */
const knownAfterMs = seenAfterMs + 500;
/** a little less than what an exit takes for a rest */
export const restMs = 55_000;

/** What the session has used up of the channel, carried money included. Nothing is carried in time that is not bought. */
export const consumedBy = (state: ConsumerState): bigint => {
  const { terms, used, bought } = state;
  const consumed = state.start.consumed + due(terms, { bytes: used.bytes, ms: Math.min(used.ms, bought.ms) });
  return smaller(consumed, state.cumulative);
};

/** How much to be ahead: what the line takes, and no more than an exit takes at once. */
function quantumOf({ terms, used, line, credit, paying, elapsedMs }: ConsumerState): Usage {
  const quantum = { bytes: quantumBytes(used.bytes, line, quantumMost(terms)), ms: QUANTUM_MS };
  if (!credit) return quantum;
  const isKnown = paying && elapsedMs - paying.sinceMs >= knownAfterMs && elapsedMs - paying.lastMs <= restMs;
  return quantumWithin(terms, quantum, isKnown ? credit.later : credit.first);
}

export const purchaseFor = (state: ConsumerState): Purchase =>
  nextPurchase({ ...state, invoice: state.invoiced, carriedIn: carriedIn(state), quantum: quantumOf(state) });

/**
 * Takes over an own count. The exit waits longer than we do, so its last invoice and what has passed since may be less. What this machine has thrown
 * away was served, as far as the exit may have counted it: its invoice is as old as a quantum at most.
 */
export const counted = (state: ConsumerState, own: Usage, droppedBytes = 0n): ConsumerState => {
  const { invoiced, invoicedAtMs } = state;
  const theirsMs = invoicedAtMs === undefined ? own.ms : invoiced.ms + Math.max(0, own.ms - invoicedAtMs);
  const bytes = smaller(own.bytes + droppedBytes, larger(own.bytes, invoiced.bytes + quantumOf(state).bytes));
  return { ...state, ownMs: own.ms, used: { bytes, ms: Math.min(own.ms, theirsMs) } };
};

/**
 * By the exit's count nothing is left of what is bought. It bills what is lost on the way only beyond an allowance (protocol.md, service
 * `wireguard`), of which 256 KiB are in this count and in its credit are not; a packet may be larger than what is left.
 */
export const usedUp = ({ terms, bought, invoiced }: ConsumerState): boolean =>
  terms.perGiB > 0n && bought.bytes - invoiced.bytes <= usedUpWithin;
const usedUpWithin = 264n * 1024n;

/** Whether a count of the exit's is more than a quantum over our own. */
export const overcharges = (state: ConsumerState, invoiced: Usage): boolean =>
  purchaseFor({ ...state, invoiced, used: { bytes: state.used.bytes, ms: state.ownMs } }).overcharged;

/** Prepaid by earlier sessions and not used, base units. */
export const carriedIn = ({ start }: ConsumerState): bigint => start.cumulative - start.consumed;

/** Of the time used, what at its end was certainly not served: without an answer or without any sign of life, the grace of this wait included. */
export const idleOf = (waitingMs: number, silentMs: number): number => Math.max(Math.min(waitingMs, consumerPatience.graceMs), silentMs);

/** What was certainly served. */
export const served = ({ used: { bytes, ms }, idleMs }: ConsumerState): Usage => ({ bytes, ms: Math.max(0, ms - idleMs) });

/** The exit's final count stands, unless it is above our own by more than may have been under way. */
export const finalCount = (state: ConsumerState, theirs: Usage): Usage => (overcharges(state, theirs) ? state.used : theirs);
