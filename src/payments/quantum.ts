import { larger, smaller } from "../lib/bigint.ts";
import { GiB, MiB } from "../lib/units.ts";
import { type Line, lineBytes } from "./line.ts";
import { due, type Terms } from "./terms.ts";

/** How much is bought ahead of use, at first. */
export const QUANTUM_BYTES = MiB;
export const QUANTUM_MS = 5_000;
/** What the quantum of bytes grows to at most: 1 Gbit/s over a line of 200 ms there and back takes 84 MiB. */
export const QUANTUM_MAX_BYTES = 128n * MiB;
/** At most this part of a budget is ahead of use. */
const budgetPart = 16n;

type Prices = Pick<Terms, "perHour" | "perGiB">;

/**
 * How many bytes to be ahead: clamp(served so far, 1 MiB, what the line carries in 300 ms and two round trips), and never over `most`.
 * So it doubles as it is served, up to what keeps payment from holding up the line, and what is at stake is never more than what was had.
 */
export const quantumBytes = (servedBytes: bigint, line: Line, most: bigint): bigint =>
  smaller(most, larger(QUANTUM_BYTES, smaller(servedBytes, lineBytes(line))));

/** The most that `quantumBytes` can be after `servedBytes`, whatever the line. */
export const quantumBound = (servedBytes: bigint): bigint => smaller(QUANTUM_MAX_BYTES, larger(QUANTUM_BYTES, servedBytes));

/**
 * The most that one quantum ahead can cost after `servedBytes`, whatever the line: `due` rounds down twice, so a difference of two dues
 * may be 2 units over the due of the difference.
 */
export const quantumMoney = (prices: Prices, servedBytes: bigint): bigint =>
  due(prices, { bytes: quantumBound(servedBytes), ms: QUANTUM_MS }) + 2n;

/**
 * What terms say that a quantum comes to at most, however long the session: 128 MiB and 5 s, or a sixteenth of the budget where that is
 * less; never less than the first quantum.
 */
export const quantumLimit = (prices: Prices, budget: bigint): bigint =>
  larger(quantumMoney(prices, 0n), smaller(quantumMoney(prices, QUANTUM_MAX_BYTES), budget / budgetPart));

/** The most bytes that a quantum may have under these terms: as many as `terms.quantum` pays for beside the time. */
export function quantumMost({ perHour, perGiB, quantum }: Pick<Terms, "perHour" | "perGiB" | "quantum">): bigint {
  if (perGiB === 0n) return QUANTUM_MAX_BYTES;
  const forBytes = quantum - 2n - due({ perHour, perGiB }, { bytes: 0n, ms: QUANTUM_MS });
  return smaller(QUANTUM_MAX_BYTES, larger(0n, ((forBytes + 1n) * GiB - 1n) / perGiB));
}
