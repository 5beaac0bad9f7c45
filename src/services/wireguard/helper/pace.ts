import { type BackendKind, counterMs } from "../types.ts";

/** So many bytes between two looks and the line counts as busy. */
const busyBytes = 16n * 1024n;
/** A busy line that pauses goes on at once more often than not. */
const lingerMs = 2000;
/** Reading over the socket takes well under a millisecond, a `wg` process some five. */
const busyMs: Record<BackendKind, number> = { "wireguard-go": 10, "wireguard-go-wg": 50, kernel: 50, fake: 10 };

/**
 * When to read a tunnel's counters next: what is paid follows what is counted, so on a busy line the time between two looks is what
 * limits it, one quantum each. Told the bytes since the last look and the time, it answers with ms.
 */
export function createPace(kind: BackendKind): (carriedBytes: bigint, nowMs: number) => number {
  let busyUntilMs = 0;
  return (carriedBytes, nowMs) => {
    if (carriedBytes >= busyBytes) busyUntilMs = nowMs + lingerMs;
    return nowMs < busyUntilMs ? busyMs[kind] : counterMs;
  };
}
