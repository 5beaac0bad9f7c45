import type { Clock } from "../lib/clock.ts";
import { every, type Loop } from "../lib/lifecycle.ts";
import type { KnownPeer } from "./known-peers.ts";

/** With fewer connections than this, peers are dialled. */
export const wantedConnections = 3;
const tickMs = 1000;
const firstRetryMs = 1000;
const maxRetryMs = 60_000;

/** When a peer that could not be reached may be tried again. */
export type Attempt = { failures: number; notBeforeMs: number };

/**
 * Whom to dial now: as many as connections are missing, bootstrap peers before known ones, none that is connected, denied
 * or was tried in vain a moment ago.
 */
export function toDial(now: {
  connected: ReadonlySet<string>;
  bootstrap: KnownPeer[];
  known: KnownPeer[];
  attempts: ReadonlyMap<string, Attempt>;
  denied(peer: string): boolean;
  nowMs: number;
}): KnownPeer[] {
  const missing = wantedConnections - now.connected.size;
  if (missing <= 0) return [];
  const candidates = new Map<string, KnownPeer>();
  for (const candidate of [...now.bootstrap, ...now.known]) if (!candidates.has(candidate.peer)) candidates.set(candidate.peer, candidate);
  return [...candidates.values()]
    .filter(({ peer }) => !now.connected.has(peer) && !now.denied(peer) && (now.attempts.get(peer)?.notBeforeMs ?? 0) <= now.nowMs)
    .slice(0, missing);
}

/** After a failure: 1 s, 2 s, 4 s ... 60 s. */
export function afterFailure(attempt: Attempt | undefined, nowMs: number): Attempt {
  const failures = (attempt?.failures ?? 0) + 1;
  return { failures, notBeforeMs: nowMs + Math.min(firstRetryMs * 2 ** (failures - 1), maxRetryMs) };
}

/** Keeps the node connected: libp2p dials a bootstrap peer once and has no dialler of its own. */
export function keepConnected(
  deps: { clock: Clock; dial(peer: KnownPeer, signal: AbortSignal): Promise<void>; onError(error: unknown): void },
  view: () => Omit<Parameters<typeof toDial>[0], "attempts" | "nowMs">,
): Loop {
  const attempts = new Map<string, Attempt>();
  const dial = async (candidate: KnownPeer, signal: AbortSignal) => {
    try {
      await deps.dial(candidate, signal);
      attempts.delete(candidate.peer);
    } catch (error) {
      attempts.set(candidate.peer, afterFailure(attempts.get(candidate.peer), deps.clock.nowMs()));
      if (!signal.aborted) deps.onError(error);
    }
  };
  return every(
    deps.clock,
    tickMs,
    async (signal) => {
      const candidates = toDial({ ...view(), attempts, nowMs: deps.clock.nowMs() });
      await Promise.all(candidates.map((candidate) => dial(candidate, signal)));
    },
    deps.onError,
  );
}
