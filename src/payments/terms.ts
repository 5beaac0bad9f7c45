import { GiB, hourMs } from "../lib/units.ts";

/** What both sides agree on for one session. Prices are base units; never a rounded price per second. */
export type Terms = {
  perHour: bigint;
  perGiB: bigint;
  /** the most that is ever prepaid and not yet used: the consumer's whole risk, in base units */
  quantum: bigint;
  /** ms since the epoch; no promise is accepted under these terms after it */
  validUntilMs: number;
};

/** What was used or bought: bytes in both directions together, and time. */
export type Usage = { bytes: bigint; ms: number };

/** due = floor(ms * perHour / 3,600,000) + floor(bytes * perGiB / 2^30), in base units. */
export const due = (terms: Pick<Terms, "perHour" | "perGiB">, usage: Usage): bigint =>
  (BigInt(usage.ms) * terms.perHour) / BigInt(hourMs) + (usage.bytes * terms.perGiB) / GiB;
