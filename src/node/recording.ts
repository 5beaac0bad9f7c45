import type { Clock } from "../lib/clock.ts";
import type { Hex } from "../lib/codec.ts";
import { asMystError } from "../lib/errors.ts";
import type { Logger } from "../lib/ports.ts";
import type { ProviderLedger } from "../payments/provider-ledger.ts";
import type { ProviderSession } from "../session/provider-driver.ts";
import type { Records } from "../session/records.ts";
import type { Events } from "./events.ts";
import { providerSession, type StoredSession, sessionView, withCleared } from "./views.ts";

export type RecordingDeps = {
  records: Records<StoredSession>;
  ledger: Pick<ProviderLedger, "channel" | "channels">;
  events: Pick<Events, "emit">;
  clock: Pick<Clock, "nowMs">;
  log: Logger;
};

/** The records of the sessions that this node serves. They are for people to look at: one that cannot be written ends nothing. */
export type Recording = {
  /** after every transition of a session */
  onSession(session: ProviderSession): void;
  /** the contract has paid so much on a channel in all */
  onPaid(channel: Hex, paidInAll: bigint): void;
  /** resolves when all that was to be written is */
  idle(): Promise<void>;
};

/** a session that goes on is written at most this often */
const recordEveryMs = 2_000;

/** What was cleared shortly before a crash, and is not in the records, is put right to begin with. */
export function keepRecords({ records, ledger, events, clock, log }: RecordingDeps): Recording {
  const savedMs = new Map<string, number>();
  const writing = new Set<Promise<void>>();
  const save = (record: StoredSession) => {
    const done = records
      .save(record)
      .catch((error) => log.warn("a session's record was not written", { code: asMystError(error).code }))
      .finally(() => writing.delete(done));
    writing.add(done);
  };
  const onPaid = (channel: Hex, paidInAll: bigint) => {
    for (const record of records.list())
      if (record.role === "provider" && record.channel === channel && record.state !== "CLEARED") save(withCleared(record, paidInAll));
  };
  for (const { channel, paid } of ledger.channels()) if (paid > 0n) onPaid(channel, paid);
  return {
    onPaid,
    onSession: (session) => {
      const { phase } = session.state();
      // what never began is no session: whoever is refused again and again must not push real ones out
      if (phase === "QUOTED" || phase === "REFUSED") return;
      const over = phase === "CLEARABLE";
      if (!over && clock.nowMs() - (savedMs.get(session.id) ?? 0) < recordEveryMs) return;
      if (over) savedMs.delete(session.id);
      else savedMs.set(session.id, clock.nowMs());
      const record = providerSession(session, over ? clock.nowMs() : undefined);
      // what is promised may be cleared before the session is over
      const current = withCleared(record, ledger.channel(session)?.paid ?? 0n);
      save(current);
      events.emit({ type: "session", session: sessionView(current) });
    },
    idle: async () => void (await Promise.all(writing)),
  };
}
