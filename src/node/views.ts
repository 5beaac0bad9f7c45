import type { KnownOffer } from "../discovery/discovery.ts";
import { isWayOut, relayKind } from "../discovery/offer.ts";
import type { Hex } from "../lib/codec.ts";
import type { ConsumerState } from "../session/consumer-state.ts";
import type { ProviderState } from "../session/provider.ts";
import type { ProviderSession } from "../session/provider-driver.ts";
import type { Connection, EgressView, ExitView, NodeStatus, SessionView } from "./types.ts";

/** A session as it is kept: with the channel's cumulative when it began, from which what is cleared of it follows. */
export type StoredSession = SessionView & { startCumulative: bigint };

/** One line per service by which an offer sells a way out. */
export const exitViews = (known: KnownOffer): ExitView[] => viewsOf(known, isWayOut);
/** The same of what relays sell. */
export const relayViews = (known: KnownOffer): ExitView[] => viewsOf(known, ({ kind }) => kind === relayKind);

const viewsOf = ({ offer, sources }: KnownOffer, which: (service: { kind: string }) => boolean): ExitView[] =>
  offer.services.filter(which).map(({ kind, perGiB, perHour }) => ({
    peer: offer.peer,
    address: offer.address,
    ...(offer.owner !== undefined && { owner: offer.owner }),
    addresses: offer.addresses,
    country: offer.country,
    ...(offer.city !== undefined && { city: offer.city }),
    networkKind: offer.networkKind,
    service: kind,
    perGiB,
    perHour,
    policy: offer.policy,
    closedPorts: offer.closedPorts,
    sessions: offer.sessions,
    maxSessions: offer.maxSessions,
    expiresMs: offer.expiresMs,
    sources,
  }));

export type ConsumerMeta = { id: string; exit: ExitView; channel: Hex; startedMs: number; endedMs?: number; egress?: EgressView };

/** What both sides' states tell alike. */
const figures = ({ phase, terms, start, used, bought, promises, cumulative, reason }: ConsumerState | ProviderState) => ({
  state: phase,
  perGiB: terms.perGiB,
  perHour: terms.perHour,
  usedBytes: used.bytes,
  usedMs: used.ms,
  billedBytes: bought.bytes,
  billedMs: bought.ms,
  promises,
  promised: cumulative - start.cumulative,
  carriedIn: start.cumulative - start.consumed,
  startCumulative: start.cumulative,
  ...(reason && { reason: `${reason.code}: ${reason.message}` }),
});

export const consumerSession = (state: ConsumerState, { id, exit, channel, startedMs, endedMs, egress }: ConsumerMeta): StoredSession => ({
  id,
  role: "consumer",
  peer: exit.peer,
  service: exit.service,
  country: exit.country,
  channel,
  startedMs,
  ...(endedMs !== undefined && { endedMs }),
  budget: state.budget,
  ...(egress && { egress }),
  ...figures(state),
});

export const providerSession = (session: ProviderSession, endedMs: number | undefined): StoredSession => ({
  id: session.id,
  role: "provider",
  peer: session.peer,
  service: session.service,
  channel: session.channel,
  startedMs: session.startedMs,
  ...(endedMs !== undefined && { endedMs }),
  cleared: 0n,
  ...figures(session.state()),
});

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

export function connectionView(connection: Connection): NonNullable<NodeStatus["connection"]> {
  const first = connection.first();
  return { ...connection.session(), endpoint: connection.endpoint, failover: connection.failover(), ...(first && { first }) };
}

/** Without what only the records need. */
export const sessionView = ({ startCumulative: _, ...view }: StoredSession): SessionView => view;
