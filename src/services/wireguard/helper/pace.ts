import { type BackendKind, counterMs } from "../types.ts";

/** So many bytes between two looks and the line counts as busy. */
const busyBytes = 64n * 1024n;
/** Reading over the socket takes well under a millisecond, a `wg` process some five. */
const busyMs: Record<BackendKind, number> = { "wireguard-go": 20, "wireguard-go-wg": 50, kernel: 50, fake: 20 };

/**
 * When to read a tunnel's counters next, ms: what is paid follows what is counted, so on a busy line the time between two looks is
 * what limits it (one quantum each).
 */
export const nextLookMs = (kind: BackendKind, carriedBytes: bigint): number => (carriedBytes >= busyBytes ? busyMs[kind] : counterMs);
