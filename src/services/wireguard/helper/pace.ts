import { type BackendKind, counterMs } from "../types.ts";

/** So many bytes between two looks and the line counts as busy. */
const busyBytes = 16n * 1024n;
/** A busy line that pauses goes on at once more often than not. */
const lingerMs = 2000;
/** Reading over the socket takes well under a millisecond, a `wg` process some five. */
const busyMs: Record<BackendKind, number> = { "wireguard-go": 10, "wireguard-go-wg": 50, kernel: 50, fake: 10 };
/** A quantum that has grown lasts for some 1.2 s, of which so much is not missed. */
const steadyMs = 300;
/** the first quantum: what is bought ahead is as much as was carried, and this at least */
const leastBytes = 1024 * 1024;
/** of the time that a quantum lasts, the part after which is looked again */
const share = 6;

/**
 * When to read a tunnel's counters next. What is paid follows what is counted: as long as the quantum is small beside what the line carries, the
 * time between two looks is what limits it. So it is a part of how long a quantum lasts at the highest rate of late, by what `quantumBytes`
 * makes of the bytes carried so far. Told the bytes since the last look and the time, it answers with ms.
 */
export function createPace(kind: BackendKind): (carriedBytes: bigint, nowMs: number) => number {
  let carried = 0;
  let perMs = 0;
  let lookedMs: number | undefined;
  let busyUntilMs = 0;
  return (carriedBytes, nowMs) => {
    carried += Number(carriedBytes);
    const passedMs = lookedMs === undefined ? counterMs : Math.max(1, nowMs - lookedMs);
    lookedMs = nowMs;
    if (nowMs >= busyUntilMs) perMs = 0;
    perMs = Math.max(perMs, Number(carriedBytes) / passedMs);
    if (carriedBytes >= busyBytes) busyUntilMs = nowMs + lingerMs;
    if (nowMs >= busyUntilMs) return counterMs;
    return Math.max(busyMs[kind], Math.min(steadyMs, Math.max(leastBytes, carried) / perMs / share));
  };
}
