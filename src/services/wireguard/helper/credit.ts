import type { Credit } from "../types.ts";

/**
 * What one client may still use, and what its quota in the firewall was last set to. The quota holds by itself between two looks; it
 * counts other bytes than WireGuard does (plan/credit.ts says how far the two can be apart), so it is set again before that matters.
 */
export type CreditState = {
  totalBytes: bigint;
  /** on the monotonic clock */
  endsAtMs: number;
  /** whether the quota lets anything through */
  open: boolean;
  /** credit was given that the quota does not have yet */
  changed: boolean;
  /** WireGuard's count, and what was left of the credit, when the quota was last set */
  countedThen: bigint;
  leftThen: bigint;
};

export const noCredit: CreditState = { totalBytes: 0n, endsAtMs: 0, open: false, changed: false, countedThen: 0n, leftThen: 0n };

export const given = (state: CreditState, { totalBytes, forMs }: Credit, nowMs: number): CreditState => ({
  ...state,
  totalBytes,
  endsAtMs: nowMs + forMs,
  changed: true,
});

/** Of what WireGuard counts at most a tenth passes the quota uncounted: after so many bytes the two can be 32 KiB apart. */
const apartBytes = 320n * 1024n;

/** What is to be done with the quota, after WireGuard has counted `counted` bytes in all. */
export function judgeCredit(state: CreditState, counted: bigint, nowMs: number): "keep" | "stop" | "set" {
  const left = state.totalBytes - counted;
  if (left <= 0n || nowMs >= state.endsAtMs) return state.open ? "stop" : "keep";
  if (state.changed) return "set";
  if (!state.open) return "keep";
  const since = counted - state.countedThen;
  // the quota charges a packet up to twice, and must not run dry while there is credit
  return since > apartBytes || since * 4n > state.leftThen ? "set" : "keep";
}

export const stopped = (state: CreditState): CreditState => ({ ...state, open: false, changed: false });

/** The quota's new limit, from what it says is used: that counts what it has dropped, too. Both counts are of the same moment. */
export function setTo(state: CreditState, quotaUsed: bigint, counted: bigint): { state: CreditState; limit: bigint } {
  const left = state.totalBytes - counted;
  return {
    state: { ...state, open: true, changed: false, countedThen: counted, leftThen: left },
    limit: quotaUsed + left,
  };
}

/** Whether forwarding could go on without anybody doing anything. */
export const isLive = (state: CreditState, counted: bigint, nowMs: number): boolean => nowMs < state.endsAtMs && counted < state.totalBytes;
