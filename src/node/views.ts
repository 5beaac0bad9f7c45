import type { KnownOffer } from "../discovery/discovery.ts";
import type { Hex } from "../lib/codec.ts";
import { type ConsumerState, carriedIn } from "../session/consumer.ts";
import type { ProviderSession } from "../session/provider-driver.ts";
import type { ExitView, SessionView } from "./types.ts";

/** A session as it is kept: with the channel's cumulative when it began, from which what is cleared of it follows. */
export type StoredSession = SessionView & { startCumulative: bigint };

/** One line per service that an offer sells. */
export const exitViews = ({ offer, sources }: KnownOffer): ExitView[] =>
  offer.services.map(({ kind, perGiB, perHour }) => ({
    peer: offer.peer,
    address: offer.address,
    addresses: offer.addresses,
    country: offer.country,
    ...(offer.city !== undefined && { city: offer.city }),
    networkKind: offer.networkKind,
    service: kind,
    perGiB,
    perHour,
    policy: offer.policy,
    sessions: offer.sessions,
    maxSessions: offer.maxSessions,
    expiresMs: offer.expiresMs,
    sources,
  }));

export type ConsumerMeta = { id: string; exit: ExitView; channel: Hex; startedMs: number; endedMs?: number };

export const consumerSession = (state: ConsumerState, meta: ConsumerMeta): StoredSession => ({
  id: meta.id,
  role: "consumer",
  state: state.phase,
  peer: meta.exit.peer,
  service: meta.exit.service,
  country: meta.exit.country,
  perGiB: state.terms.perGiB,
  perHour: state.terms.perHour,
  channel: meta.channel,
  startedMs: meta.startedMs,
  ...(meta.endedMs !== undefined && { endedMs: meta.endedMs }),
  usedBytes: state.used.bytes,
  usedMs: state.used.ms,
  billedBytes: state.bought.bytes,
  billedMs: state.bought.ms,
  promises: state.promises,
  promised: state.cumulative - state.start.cumulative,
  carriedIn: carriedIn(state),
  startCumulative: state.start.cumulative,
  budget: state.budget,
  ...(state.reason && { reason: `${state.reason.code}: ${state.reason.message}` }),
});

export const providerSession = (session: ProviderSession, endedMs: number | undefined): StoredSession => {
  const state = session.state();
  return {
    id: session.id,
    role: "provider",
    state: state.phase,
    peer: session.peer,
    service: session.service,
    perGiB: state.terms.perGiB,
    perHour: state.terms.perHour,
    channel: session.channel,
    startedMs: session.startedMs,
    ...(endedMs !== undefined && { endedMs }),
    usedBytes: state.used.bytes,
    usedMs: state.used.ms,
    billedBytes: state.bought.bytes,
    billedMs: state.bought.ms,
    promises: state.promises,
    promised: state.cumulative - state.start.cumulative,
    carriedIn: state.start.cumulative - state.start.consumed,
    cleared: 0n,
    startCumulative: state.start.cumulative,
    ...(state.reason && { reason: `${state.reason.code}: ${state.reason.message}` }),
  };
};

/** The record once the contract has paid `paidInAll` on its channel: what fell to this session, and whether that is all of it. */
export function withCleared(record: StoredSession, paidInAll: bigint): StoredSession {
  const past = paidInAll - record.startCumulative;
  const cleared = past < 0n ? 0n : past < record.promised ? past : record.promised;
  const done = record.endedMs !== undefined && cleared === record.promised;
  return { ...record, cleared, state: done ? "CLEARED" : record.state };
}

/** A record that a crash left without an end. */
export const interruptedSession = (record: StoredSession): StoredSession => ({
  ...record,
  endedMs: record.startedMs + record.usedMs,
  state: record.role === "provider" ? "CLEARABLE" : "CLOSED",
  reason: "INTERRUPTED: the node ended before the session did",
});

/** Without what only the records need. */
export const sessionView = ({ startCumulative: _, ...view }: StoredSession): SessionView => view;
