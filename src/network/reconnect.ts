import type { Clock } from "../lib/clock.ts";
import { every, type Loop } from "../lib/lifecycle.ts";
import { apart } from "./diversity.ts";
import type { KnownPeer } from "./known-peers.ts";

/**
 * With fewer connections than this that we have opened ourselves, peers are dialled: whom others choose to be is no choice of ours. One more than
 * the bootstrap peers that a network usually has: those have hundreds of neighbours, and pass most messages on to only some of them.
 */
export const wantedConnections = 4;
const tickMs = 1000;
/** A dial that takes longer than this is gone on with, but its place is given to another. */
const patienceMs = 1000;
const maxDialling = 8;
/** Who hangs up on us within this has no room: to dial again at once would only push out others. */
const stayMs = 60_000;
const firstRetryMs = 1000;
const maxRetryMs = 60_000;

/** When a peer that could not be reached may be tried again. */
export type Attempt = { failures: number; notBeforeMs: number };

export type Candidates = {
  /** connected, whoever has opened the connection */
  connected: ReadonlySet<string>;
  /** those of them that we have dialled */
  chosen: ReadonlySet<string>;
  bootstrap: KnownPeer[];
  /** told of on the local network */
  nearby: KnownPeer[];
  /** of this or an earlier run, the better ones first */
  known: KnownPeer[];
  denied(peer: string): boolean;
};

/**
 * Whom to dial now: as many as connections are missing, bootstrap, nearby and known peers in turns, so that it does not matter which of these
 * are dead; of different networks first; none that is connected, denied or was tried in vain a moment ago.
 * @param dialling since when
 */
export function toDial(
  now: Candidates & { attempts: ReadonlyMap<string, Attempt>; dialling: ReadonlyMap<string, number>; nowMs: number },
): KnownPeer[] {
  const young = [...now.dialling.values()].filter((sinceMs) => now.nowMs - sinceMs < patienceMs).length;
  const missing = Math.min(wantedConnections - now.chosen.size - young, maxDialling - now.dialling.size);
  if (missing <= 0) return [];
  const candidates = new Map<string, KnownPeer>();
  for (const candidate of inTurns([now.bootstrap, now.nearby, now.known]))
    if (!candidates.has(candidate.peer)) candidates.set(candidate.peer, candidate);
  const free = [...candidates.values()].filter(
    ({ peer }) =>
      !now.connected.has(peer) && !now.dialling.has(peer) && !now.denied(peer) && (now.attempts.get(peer)?.notBeforeMs ?? 0) <= now.nowMs,
  );
  return apart(free, ({ addresses }) => addresses, 1).slice(0, missing);
}

function inTurns<T>(lists: T[][]): T[] {
  const longest = Math.max(...lists.map(({ length }) => length));
  return Array.from({ length: longest }, (_, index) => lists.flatMap((list) => list.slice(index, index + 1))).flat();
}

/** After a failure: 1 s, 2 s, 4 s ... 60 s. */
export function afterFailure(attempt: Attempt | undefined, nowMs: number): Attempt {
  const failures = (attempt?.failures ?? 0) + 1;
  return { failures, notBeforeMs: nowMs + Math.min(firstRetryMs * 2 ** (failures - 1), maxRetryMs) };
}

/** Keeps the node connected: libp2p dials a bootstrap peer once and has no dialler of its own. */
export function keepConnected(
  deps: { clock: Clock; dial(peer: KnownPeer, signal: AbortSignal): Promise<void>; onError(error: unknown): void },
  view: () => Candidates,
): Loop {
  const { clock } = deps;
  const attempts = new Map<string, Attempt>();
  const dialling = new Map<string, number>();
  /** reached by us, and since when; until it has stayed */
  const reached = new Map<string, number>();
  const running = new Set<Promise<void>>();
  const stopped = new AbortController();
  const dial = async (candidate: KnownPeer) => {
    const { peer } = candidate;
    dialling.set(peer, clock.nowMs());
    try {
      await deps.dial(candidate, stopped.signal);
      reached.set(peer, clock.nowMs());
    } catch (error) {
      attempts.set(peer, afterFailure(attempts.get(peer), clock.nowMs()));
      if (!stopped.signal.aborted) deps.onError(error);
    } finally {
      dialling.delete(peer);
    }
  };
  const review = (connected: ReadonlySet<string>, nowMs: number) => {
    for (const [peer, sinceMs] of reached) {
      const stayed = nowMs - sinceMs >= stayMs;
      if (connected.has(peer) && !stayed) continue;
      reached.delete(peer);
      if (stayed) attempts.delete(peer);
      else attempts.set(peer, afterFailure(attempts.get(peer), nowMs));
    }
  };
  const fill = () => {
    if (stopped.signal.aborted) return;
    const [now, nowMs] = [view(), clock.nowMs()];
    review(now.connected, nowMs);
    for (const candidate of toDial({ ...now, attempts, dialling, nowMs })) {
      const work = dial(candidate).finally(() => {
        running.delete(work);
        fill();
      });
      running.add(work);
    }
  };
  const ticking = every(clock, tickMs, async () => fill(), deps.onError);
  const stop = async () => {
    stopped.abort();
    await Promise.all([ticking.stop(), ...running]);
  };
  return { stop, [Symbol.asyncDispose]: stop };
}
