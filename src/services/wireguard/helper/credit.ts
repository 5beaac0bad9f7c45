import { type Credit, counterMs } from "../types.ts";

/**
 * What one client may still use, and what its quota in the firewall was last set to. The quota holds by itself between two looks; it
 * counts other bytes than WireGuard does (plan/credit.ts says how far the two can be apart), so it is set again before that matters.
 */
export type CreditState = {
  totalBytes: bigint;
  /** on the monotonic clock */
  endsAtMs: number;
  /** credit was given that the quota does not have yet */
  changed: boolean;
  /** what the quota was last set to; absent while it lets nothing through */
  quota?: QuotaState;
};

/** The quota's limit, and for which credit, at which of WireGuard's counts and when it was set. */
export type QuotaState = { limit: bigint; totalBytes: bigint; counted: bigint; setMs: number };

export const noCredit: CreditState = { totalBytes: 0n, endsAtMs: 0, changed: false };

export const given = (state: CreditState, { totalBytes, forMs }: Credit, nowMs: number): CreditState => ({
  ...state,
  totalBytes,
  endsAtMs: nowMs + forMs,
  changed: state.changed || totalBytes !== state.quota?.totalBytes,
});

/** Of what WireGuard counts at most a tenth passes the quota uncounted, of full packets a fortieth: after so many bytes the two are some 400 KiB apart. */
const apartBytes = 16n * 1024n * 1024n;

/**
 * What is dropped between the two, since the tunnel's queue is full or the quota is used up, only the quota counts: it may run dry long before the
 * credit is used up. Where nothing moves any more it is looked into at once, and at least so often.
 */
const lookMs = 1000;

/** so little between two looks a few ms apart that nothing queues */
const calmBytes = 16n * 1024n;

/** The most that is ever on its way from the quota to WireGuard's count: 500 packets wait at the interface, 1,024 in wireguard-go. */
const underWayBytes = 2n * 1024n * 1024n;

/** What is to be done with the quota, after WireGuard has counted `counted` bytes in all; `still`: as many as at the look before. */
export function judgeCredit(state: CreditState, counted: bigint, nowMs: number, still = false): "keep" | "stop" | "set" {
  const { quota, totalBytes } = state;
  if (nowMs >= state.endsAtMs) return quota ? "stop" : "keep";
  if (counted >= totalBytes) {
    if (!quota) return "keep";
    // what WireGuard has counted is partly on its way to the quota, which may let it pass: closed a look later
    return quota.counted >= totalBytes ? "stop" : "set";
  }
  if (state.changed) return "set";
  if (!quota) return "keep";
  const since = counted - quota.counted;
  if ((still && since > 0n) || nowMs - quota.setMs >= lookMs) return "set";
  // it charges a packet up to twice, and must not run dry while there is credit; and the less is left the less they may be apart
  const left = quota.totalBytes - quota.counted;
  return since > apartBytes || since * partOf(left) > left ? "set" : "keep";
}

/** After which part of what is left the quota is set again: what is at stake with the last bytes of a credit is a twentieth of what was left at the last time. */
const partOf = (left: bigint): bigint => (left < nearTheEnd ? 4n : 2n);
const nearTheEnd = 8n * 1024n * 1024n;

/** A client's count at a look, and when that was. */
export type Looked = { counted: bigint; atMs: number };

const nextLookMs = { least: 25, most: 400 };

/**
 * How long after a look the next one is due: before half of what is left (near the end a quarter) is used up at the rate of now, so that the end of a
 * credit is looked at closely and its middle is not. Where nothing moves, `counterMs`.
 */
export function untilLookMs({ quota, totalBytes }: CreditState, now: Looked, before: Looked | undefined): number {
  if (!quota || !before || now.counted <= before.counted) return counterMs;
  const passedMs = Math.max(1, now.atMs - before.atMs);
  const left = totalBytes - now.counted;
  const partMs = (Number(left) / Number(now.counted - before.counted)) * (passedMs / Number(partOf(left)));
  return Math.min(nextLookMs.most, Math.max(nextLookMs.least, partMs));
}

/** Nothing passes until there is other credit. */
export const stopped = ({ totalBytes, endsAtMs }: CreditState): CreditState => ({ totalBytes, endsAtMs, changed: false });

/** Nothing passes until the quota is filled. */
export const shut = (state: CreditState): CreditState => ({ ...stopped(state), changed: true });

/** More credit for a quota that is open, without a look at anything: what is added to the one is added to the other. */
export function raised(state: CreditState): CreditState {
  const { quota, totalBytes } = state;
  if (!quota || totalBytes <= quota.totalBytes) return state;
  return { ...state, quota: { ...quota, totalBytes, limit: quota.limit + totalBytes - quota.totalBytes } };
}

/** The quota of one that has counted nothing, and through which nothing passes. */
export const filled = (state: CreditState, counted: bigint, nowMs: number): CreditState => ({
  ...state,
  changed: false,
  quota: { limit: max(state.totalBytes - counted, 0n), totalBytes: state.totalBytes, counted, setMs: nowMs },
});

/**
 * An open quota as it should be: what it has used, and what is left of the credit. WireGuard's count is known from before and from after
 * the moment of `used`. Packets on their way between the two are in the one count and not yet in the other, many of them while traffic is
 * heavy: so while it is not calm the limit is raised only by what is more than can be under way, and it is lowered by no more than the two counts
 * can have drifted apart since.
 */
export function adjusted(
  state: CreditState,
  quota: QuotaState,
  { used, before, after, nowMs }: { used: bigint; before: bigint; after: bigint; nowMs: number },
): CreditState {
  const { totalBytes } = state;
  const low = used + max(totalBytes - after, 0n);
  const high = max(used + max(totalBytes - before, 0n), quota.limit - (after - quota.counted) / 10n);
  let { limit } = quota;
  if (limit > high) limit = high;
  const sure = after - before <= calmBytes ? low : low - underWayBytes;
  if (limit < sure) limit = sure;
  return { ...state, changed: false, quota: { limit, totalBytes, counted: after, setMs: nowMs } };
}

/** It is not known what the quota holds: it may be open. */
export const unsure = (state: CreditState): CreditState => ({
  ...state,
  changed: true,
  quota: { limit: 0n, totalBytes: state.totalBytes, counted: 0n, setMs: 0 },
});

const max = (a: bigint, b: bigint) => (a > b ? a : b);

/** Whether forwarding could go on without anybody doing anything. */
export const isLive = (state: CreditState, counted: bigint, nowMs: number): boolean => nowMs < state.endsAtMs && counted < state.totalBytes;
