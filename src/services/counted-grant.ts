import type { Clock } from "../lib/clock.ts";
import { createTunnelWaiting } from "./counted-waiting.ts";
import { acknowledged, counted, creditFor, newMeter, usedBytes } from "./meter.ts";
import type { Grant } from "./service.ts";
import { exitPatience } from "./unanswered.ts";

/** a price of 0 per hour limits no time; what a timer takes is enough for that */
const endlessMs = 2 ** 31 - 1;

type Counters = { rxBytes: bigint; txBytes: bigint };

/** What carries one session's datagrams, and counts them: what came from the consumer (`rx`), and what was sent to it. */
export type Carrier = {
  counters(): Counters;
  /** Carry up to so much in all, and for so long. */
  credit(credit: { totalBytes: bigint; forMs: number }): void;
  /** Ends it; resolves with its last counters. */
  dismiss(): Promise<Counters>;
};

/** One session of a service whose ends count datagrams: its meter, and its credit as far as it is paid for. */
export function createGrant(
  { carrier, clock }: { carrier: Carrier; clock: Pick<Clock, "nowMs"> },
  connection: Grant["connection"],
  gone: () => void,
): Grant {
  let meter = newMeter;
  let allowed = 0n;
  let untilMs = 0;
  let ending: Promise<bigint> | undefined;
  const waiting = createTunnelWaiting({ clock }, exitPatience);
  const look = () => {
    if (ending) return;
    meter = counted(meter, carrier.counters());
    waiting.look(meter.received, meter.sent);
  };
  const give = () => {
    if (!ending) carrier.credit({ totalBytes: creditFor(meter, allowed), forMs: Math.max(0, untilMs - clock.nowMs()) });
  };
  const end = async () => {
    try {
      meter = counted(meter, await carrier.dismiss());
      return usedBytes(meter);
    } finally {
      gone();
    }
  };
  return {
    connection,
    usedBytes: () => {
      look();
      return usedBytes(meter);
    },
    allow: (totalBytes, forMs = endlessMs) => {
      allowed = totalBytes;
      untilMs = clock.nowMs() + forMs;
      give();
    },
    unanswered: () => {
      look();
      return waiting.read();
    },
    acknowledge: (bytes) => {
      look();
      const before = meter.lost;
      meter = acknowledged(meter, bytes, clock.nowMs());
      if (meter.lost > before && untilMs > clock.nowMs()) give();
    },
    suspend: () => {
      untilMs = 0;
      give();
    },
    end: () => {
      ending ??= end();
      return ending;
    },
  };
}
