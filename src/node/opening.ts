import type { Clock } from "../lib/clock.ts";
import { isOpen, minuteOfWeek, minuteText, opensAt, type Schedule } from "../lib/schedule.ts";
import { formatBytes, MiB } from "../lib/units.ts";
import type { Carried } from "./carried.ts";
import { monthOf } from "./carried.ts";

/** When an operator wants to serve; each may be absent. */
export type OpeningOptions = {
  /** bytes that may be carried in a month (UTC), both directions together */
  monthlyCap?: bigint | undefined;
  schedule?: Schedule | undefined;
};

export type Closed = {
  /** in words for whoever asks for a session */
  why: string;
  /** sessions that run go on: it is only too late to begin one */
  fillsUp?: true;
};

/** With so little left, or a hundredth of it all where that is less, no session begins any more: it would end at once. */
const lastBytes = 64n * MiB;

/** Why no session may begin now, or undefined. */
export function closedBecause({ monthlyCap, schedule }: OpeningOptions, carried: bigint, nowMs: number): Closed | undefined {
  const minute = minuteOfWeek(nowMs);
  if (schedule && !isOpen(schedule, minute))
    return { why: `this exit is closed; it serves again on ${minuteText(opensAt(schedule, minute))} (its own time)` };
  if (monthlyCap === undefined) return undefined;
  const why = `this exit has carried the ${formatBytes(monthlyCap)} that it may in ${monthOf(nowMs)}`;
  if (carried >= monthlyCap) return { why };
  const reserve = monthlyCap / 100n < lastBytes ? monthlyCap / 100n : lastBytes;
  return carried >= monthlyCap - reserve ? { why, fillsUp: true } : undefined;
}

export type Opening = {
  /** Why no session may begin now, or undefined. */
  closed(): Closed | undefined;
  /** Bytes that sessions have used since the last call. */
  carried(bytes: bigint): void;
};

/** Follows what is carried, and says when it opens, closes or fills up; to be asked from time to time by `look`. */
export function createOpening(
  { clock, carried }: { clock: Pick<Clock, "nowMs">; carried: Pick<Carried, "add" | "bytes"> },
  options: OpeningOptions,
  onChange: (closed: Closed | undefined) => void,
): Opening & { look(): void } {
  const closed = () => closedBecause(options, carried.bytes(), clock.nowMs());
  let was = closed();
  const look = () => {
    const now = closed();
    if (now?.why === was?.why && now?.fillsUp === was?.fillsUp) return;
    was = now;
    onChange(now);
  };
  return {
    closed,
    look,
    carried: (bytes) => {
      carried.add(bytes);
      look();
    },
  };
}
