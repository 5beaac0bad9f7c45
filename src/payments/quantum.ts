import { larger, smaller } from "../lib/bigint.ts";
import { GiB, MiB } from "../lib/units.ts";
import { growthLimit, newcomerLimit } from "./heads/limits.ts";
import { type Line, lineBytes } from "./line.ts";
import { due, type Terms, type Usage } from "./terms.ts";

/** How much is bought ahead of use, at first. */
export const QUANTUM_BYTES = MiB;
export const QUANTUM_MS = 5_000;
/** What the quantum of bytes grows to at most: 1 Gbit/s over a line of 200 ms there and back takes 84 MiB. */
export const QUANTUM_MAX_BYTES = 128n * MiB;
/** At most this part of a budget is ahead of use. */
const budgetPart = 16n;

type Prices = Pick<Terms, "perHour" | "perGiB">;

/**
 * How many bytes to be ahead: clamp(served so far, 1 MiB, what the line carries in 1.2 s and two round trips), and never over `most`.
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

/** What one purchase may cost so that an exit takes it at once, base units: of a channel that begins (anew), and of one in use. */
export type Credit = { first: bigint; later: bigint };

/** Half of what exits let go unseen by others: while one purchase is on its way to them the next still fits. */
export const creditOf = (bond: bigint, { exits, channels }: { exits: number; channels: number }): Credit => ({
  first: newcomerLimit(bond, exits) / 2n,
  later: growthLimit(bond, channels) / 2n,
});

/** less than this is not bought: an exit that does not take it at once does so once others have seen it */
const least: Usage = { bytes: MiB / 64n, ms: 100 };

/** As much of a quantum as costs no more than `most`, bytes and time by the same part. */
export function quantumWithin(prices: Prices, quantum: Usage, most: bigint): Usage {
  const cost = due(prices, quantum);
  if (cost <= most) return quantum;
  const ms = Number((BigInt(quantum.ms) * most) / cost);
  return { bytes: larger(least.bytes, (quantum.bytes * most) / cost), ms: Math.max(least.ms, ms) };
}
