import { type BackendKind, counterMs } from "../types.ts";

/** So many bytes between two looks and the line counts as busy. */
const busyBytes = 16n * 1024n;
/** A busy line that pauses goes on at once more often than not. */
const lingerMs = 2000;
/** Reading over the socket takes well under a millisecond, a `wg` process some five. */
const busyMs: Record<BackendKind, number> = { "wireguard-go": 10, "wireguard-go-wg": 50, kernel: 50, fake: 10 };
/** A quantum that has grown lasts for some 300 ms, of which so much is not missed. */
const steadyMs = 50;
/** the share of its busy time that a line may wait for the next look */
const share = 20;

/**
 * When to read a tunnel's counters next: what is paid follows what is counted, so on a line that has just become busy, where a quantum is
 * still small, the time between two looks is what limits it, one quantum each. Told the bytes since the last look and the time, it answers with ms.
 */
export function createPace(kind: BackendKind): (carriedBytes: bigint, nowMs: number) => number {
  let busySinceMs = 0;
  let busyUntilMs = 0;
  return (carriedBytes, nowMs) => {
    if (carriedBytes >= busyBytes) {
      if (nowMs >= busyUntilMs) busySinceMs = nowMs;
      busyUntilMs = nowMs + lingerMs;
    }
    if (nowMs >= busyUntilMs) return counterMs;
    return Math.max(busyMs[kind], Math.min(steadyMs, (nowMs - busySinceMs) / share));
  };
}
