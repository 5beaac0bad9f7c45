import type { Clock } from "../lib/clock.ts";

/** Token buckets by key: `burst` at once, then `perSecond`. Holds at most `maxKeys`; the ones used longest ago are forgotten first. */
export type Quota = {
  /** Takes one token of that key, or tells that there is none. */
  take(key: string): boolean;
  /** Would `take` succeed? */
  has(key: string): boolean;
};

export function createQuota(clock: Pick<Clock, "nowMs">, options: { burst: number; perSecond: number; maxKeys?: number }): Quota {
  const { burst, perSecond, maxKeys = 4096 } = options;
  const buckets = new Map<string, { tokens: number; atMs: number }>();
  const tokens = (key: string, nowMs: number): number => {
    const bucket = buckets.get(key);
    if (!bucket) return burst;
    const elapsedMs = Math.max(0, nowMs - bucket.atMs);
    return Math.min(burst, bucket.tokens + (elapsedMs * perSecond) / 1000);
  };
  return {
    has: (key) => tokens(key, clock.nowMs()) >= 1,
    take: (key) => {
      const nowMs = clock.nowMs();
      const left = tokens(key, nowMs);
      const allowed = left >= 1;
      // taken out and put back, so that the map's order is the order of use
      buckets.delete(key);
      buckets.set(key, { tokens: allowed ? left - 1 : left, atMs: nowMs });
      if (buckets.size > maxKeys) {
        const oldest = buckets.keys().next().value;
        if (oldest !== undefined) buckets.delete(oldest);
      }
      return allowed;
    },
  };
}
