import { larger, smaller } from "../lib/bigint.ts";

/**
 * What an exit counts for one client. WireGuard's counters of the two ends differ by what is lost on the way, and the receiver's are
 * the honest ones: what came from the client is counted by the exit, what went to it by the client, which says so (`acknowledge`). Its
 * word is never taken for more than was sent, nor for much less.
 */
export type ExitMeter = {
  /** from and to the client since it was admitted, as last read; the helper counts through restarts of the device */
  received: bigint;
  sent: bigint;
  /** what the client says has reached it; it may know before our counters are read */
  acknowledged: bigint;
  /** `sent` some time ago: by now it has arrived, or never will */
  settled: bigint;
  /** `sent` at `markMs`, which is settled next */
  mark: bigint;
  markMs: number;
  /** sent, not arrived, and the exit's loss */
  lost: bigint;
};

/**
 * Percent of what is sent that may be lost at the exit's expense. TCP hardly gets along with more; a client's own machine, when it is
 * busy, was seen to drop 9 before they were counted, and a consumer leaves an exit that bills more than reaches it.
 */
export const lossAllowance = 12n;
/** What may be on its way, or not have been told yet. */
export const grace = 256n * 1024n;
/** What was sent so long ago is not on its way any more. */
const settleMs = 600;

export const newMeter: ExitMeter = {
  received: 0n,
  sent: 0n,
  acknowledged: 0n,
  settled: 0n,
  mark: 0n,
  markMs: 0,
  lost: 0n,
};

/** With the counters as they are now. A reading that is older than the last changes nothing. */
export const counted = (meter: ExitMeter, { rxBytes, txBytes }: { rxBytes: bigint; txBytes: bigint }): ExitMeter => ({
  ...meter,
  received: larger(meter.received, rxBytes),
  sent: larger(meter.sent, txBytes),
});

/** With the client's word for what has reached it in all. It never falls. */
export function acknowledged(meter: ExitMeter, bytes: bigint, nowMs: number): ExitMeter {
  const word = larger(meter.acknowledged, bytes);
  const due = nowMs - meter.markMs >= settleMs;
  const settled = due ? meter.mark : meter.settled;
  const missing = smaller(settled - word, allowedLoss(settled));
  return { ...meter, acknowledged: word, settled, ...(due && { mark: meter.sent, markMs: nowMs }), lost: larger(meter.lost, missing) };
}

const allowedLoss = (sent: bigint): bigint => (sent * lossAllowance) / 100n;

/** The least that a client may say without being taken to have received more. */
const floor = (sent: bigint): bigint => larger(0n, sent - allowedLoss(sent) - grace);

/** The most that may have been sent where an exit bills `used`: the other way round. */
export const sentAtMost = (used: bigint): bigint => ((used + grace) * 100n) / (100n - lossAllowance);

/** Bytes used, both directions together: what is billed. A client that says less than it received gains the allowance and the grace. */
export const usedBytes = (meter: ExitMeter): bigint => meter.received + larger(smaller(meter.acknowledged, meter.sent), floor(meter.sent));

/**
 * The credit, in the exit's own counts, that carries up to `totalBytes` as billed: what was lost on the way comes on top. What is on its
 * way does not, so who stops paying gets nothing more.
 */
export const creditFor = (meter: ExitMeter, totalBytes: bigint): bigint => totalBytes + meter.lost;
