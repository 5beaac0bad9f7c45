import type { Clock } from "../lib/clock.ts";
import type { Waiting } from "./service.ts";

/**
 * How long what was asked upwards has gone without an answer. Both ends of a service keep one, for time without an answer is not sold:
 * a wait begins with the first thing asked (a connection, or payload upwards) since the last payload byte that came down, and ends with
 * the next one, of whatever connection. What the exit merely says ("connected", "cannot be reached") is no answer: its word proves nothing.
 */
export type Unanswered = {
  /** `of`, a connection's number, has asked for something. */
  asked(of?: number): void;
  /** Payload came down. */
  answered(): void;
  /** So many bytes have left upwards; enough of them without an answer are taken for one, since some targets answer only at the end. */
  carriedUp(bytes: number): void;
  /** Bytes of `of` are held up by its target: until they have left they are asked anew after every answer. */
  heldUp(of: number, held: boolean): void;
  /**
   * Nobody waits for what `of` asked any more. Once this holds for all that was asked, the wait lasts `lingerMs` longer: a refusal
   * stops the clock for a while, and one after the other for good. A service that cannot tell (datagrams) calls it after each `asked`.
   */
  settled(of?: number): void;
  read(): Waiting;
};

export type Patience = {
  /** so much of each wait is sold all the same: targets take their time */
  graceMs: number;
  /** how long a wait outlasts the last one who waited */
  lingerMs: number;
  /** bytes upwards that stand for an answer */
  progressBytes: number;
};

/** An exit may be slow for so long in good faith. Together with `consumerPatience` it makes the exit wait whenever its consumer does. */
export const exitPatience: Patience = { graceMs: 2_000, lingerMs: 32_000, progressBytes: 1 << 20 };

/**
 * The consumer sees each wait begin and end a little later or earlier than the exit does, by what the line takes. With 2 s more of grace
 * and 2 s less of lingering it counts at least as much time as the exit for every wait, so that differences never add up to a dispute.
 */
export const consumerPatience: Patience = { graceMs: 4_000, lingerMs: 30_000, progressBytes: 1 << 19 };

export function createUnanswered({ clock }: { clock: Pick<Clock, "nowMs"> }, { graceMs, lingerMs, progressBytes }: Patience): Unanswered {
  /** who has asked since the last answer and still waits */
  const asking = new Set<number>();
  const held = new Set<number>();
  let sinceMs: number | undefined;
  /** since when nobody waits any more */
  let settledMs: number | undefined;
  let pastMs = 0;
  let upBytes = 0;

  const lasted = (untilMs: number): number => (sinceMs === undefined ? 0 : Math.max(0, untilMs - sinceMs));
  const end = (atMs: number) => {
    pastMs += Math.max(0, lasted(atMs) - graceMs);
    sinceMs = settledMs = undefined;
  };
  const endIfOver = (nowMs: number) => {
    if (settledMs !== undefined && nowMs >= settledMs + lingerMs) end(settledMs + lingerMs);
  };
  const asked = (of = 0) => {
    // for every chunk that goes up: the clock is not read in the middle of a wait
    if (sinceMs !== undefined && settledMs === undefined && asking.has(of)) return;
    const nowMs = clock.nowMs();
    endIfOver(nowMs);
    settledMs = undefined;
    sinceMs ??= nowMs;
    asking.add(of);
  };
  const answered = () => {
    upBytes = 0;
    if (sinceMs === undefined) return;
    const nowMs = clock.nowMs();
    endIfOver(nowMs);
    end(nowMs);
    asking.clear();
    for (const of of held) asked(of);
  };
  return {
    asked,
    answered,
    carriedUp: (bytes) => {
      upBytes += bytes;
      if (upBytes >= progressBytes) answered();
    },
    heldUp: (of, now) => {
      if (now) held.add(of);
      else held.delete(of);
    },
    settled: (of = 0) => {
      held.delete(of);
      if (!asking.delete(of) || asking.size > 0 || sinceMs === undefined) return;
      settledMs = clock.nowMs();
    },
    read: () => {
      const nowMs = clock.nowMs();
      endIfOver(nowMs);
      const waitMs = lasted(nowMs);
      return { nowMs: waitMs, beyondMs: pastMs + Math.max(0, waitMs - graceMs) };
    },
  };
}
