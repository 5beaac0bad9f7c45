/**
 * Whether far less is carried than was a moment ago although it is asked for. That alone proves nothing, since a target may be slow
 * and a program done: it is a reason to measure.
 */
export type Trend = {
  /** the last seconds, the newest last: bytes in all, and of them upwards */
  seconds: { bytes: number; up: number }[];
  /** the highest mean of five seconds of late, bytes a second; it fades within minutes */
  best: number;
  since: { ms: number; bytes: bigint; up: bigint };
};

const secondMs = 1_000;
const span = 5;
/** under this it is no line that was in use */
const leastBest = 256 * 1024;
const farLess = 0.1;
/** a second in which something was asked: a packet or two */
const askedBytes = 64;
const fade = 0.99;

export const newTrend = (ms: number): Trend => ({ seconds: [], best: 0, since: { ms, bytes: 0n, up: 0n } });

/** Takes over a count: `bytes` in all, both directions, `up` of them upwards. */
export function counted(trend: Trend, ms: number, bytes: bigint, up: bigint): Trend {
  const { since } = trend;
  const passedMs = ms - since.ms;
  if (passedMs < secondMs) return trend;
  // after a standstill of our own the seconds before it say nothing
  if (passedMs > 2 * secondMs) return { ...trend, seconds: [], since: { ms, bytes, up } };
  const perSecond = secondMs / passedMs;
  const second = { bytes: Number(bytes - since.bytes) * perSecond, up: Number(up - since.up) * perSecond };
  const seconds = [...trend.seconds, second].slice(-span);
  const best = Math.max(trend.best * fade, seconds.length === span ? mean(seconds) : 0);
  return { seconds, best, since: { ms, bytes, up } };
}

const mean = (seconds: Trend["seconds"]): number => seconds.reduce((sum, { bytes }) => sum + bytes, 0) / seconds.length;

export const isSlow = ({ seconds, best }: Trend): boolean =>
  best >= leastBest &&
  seconds.length === span &&
  mean(seconds) < best * farLess &&
  seconds.filter(({ up }) => up >= askedBytes).length >= span - 1;

/**
 * It was measured, and found well enough: probably what is carried now is what there is to carry. A line that loses much may have answered by
 * chance, so it is looked at again after five seconds more, until half and half again was not worth looking.
 */
export const settled = (trend: Trend): Trend => ({ ...trend, seconds: [], best: trend.best / 2 });
