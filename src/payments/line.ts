import { larger } from "../lib/bigint.ts";

/** What a consumer has seen of the line to its exit. */
export type Line = {
  /** the highest rate of late, bytes a second; one that is reached no more fades within two seconds */
  perSecond: bigint;
  /** from a promise to its acknowledgement, smoothed; the exit's decision is in it */
  rttMs: number;
  /** where the window that is being measured began */
  since: { ms: number; bytes: bigint };
};

const windowMs = 100;
const fadeMs = 2_000n;
/** An acknowledgement that takes longer is not the line but an exit that looks at the chain, or wants a larger quantum. */
const rttMaxMs = 500;
/**
 * Beside two round trips: what the disk takes, what queues, and time in which nobody has to look. It is bought anew when half is left, so at twice the
 * rate of this; with 300 ms a fast line was counted, paid and set anew so often that it showed in what the line carried.
 */
const aheadMs = 1_200;

export const unknownLine: Line = { perSecond: 0n, rttMs: 0, since: { ms: 0, bytes: 0n } };

/** What the line carries in 1.2 s and two round trips, bytes. */
export const lineBytes = ({ perSecond, rttMs }: Line): bigint => (perSecond * BigInt(aheadMs + 2 * rttMs)) / 1_000n;

/**
 * Takes over a count: `bytes` in all at `ms`, both from the session's beginning. What `held` up the traffic is that nothing was left of what
 * is bought: then a low rate says nothing of the line.
 */
export function counted(line: Line, ms: number, bytes: bigint, held = false): Line {
  const passedMs = ms - line.since.ms;
  if (passedMs < windowMs) return line;
  const passed = BigInt(passedMs);
  const seen = ((bytes - line.since.bytes) * 1_000n) / passed;
  const faded = held ? line.perSecond : passed >= fadeMs ? 0n : (line.perSecond * (fadeMs - passed)) / fadeMs;
  return { ...line, perSecond: larger(seen, faded), since: { ms, bytes } };
}

/** A promise was acknowledged after `tookMs`. */
export function acknowledged(line: Line, tookMs: number): Line {
  const seen = Math.min(tookMs, rttMaxMs);
  return { ...line, rttMs: line.rttMs === 0 ? seen : Math.round((7 * line.rttMs + seen) / 8) };
}
