import type { ErrorCode } from "../lib/errors.ts";
import { flags } from "../reputation/record.ts";
import type { OwnSession } from "../reputation/telling.ts";
import type { ConsumerState } from "../session/consumer-state.ts";

/** By these a session ends through the exit's fault. What the budget, the network in between or we ourselves end says nothing of it. */
const itsFault: Partial<Record<ErrorCode, number>> = {
  PEER_TIMEOUT: flags.unserved,
  PEER_UNREACHABLE: flags.unserved,
  MALFORMED: flags.unserved,
  OVERCHARGED: flags.overcharged,
};
/** less than this shows nothing of what a line carries */
const showsSpeed = 1n << 20n;

type Outcome = Omit<OwnSession, "provider" | "endedMs">;

/**
 * What a session that is over says of its exit; undefined where it says nothing: it carried nothing, and not by the exit's fault.
 * @param bestPerSecond the highest rate that was seen, bytes
 */
export function outcomeOf(
  { used, reason, line }: Pick<ConsumerState, "used" | "reason" | "line">,
  bestPerSecond: bigint,
): Outcome | undefined {
  const fault = reason && itsFault[reason.code];
  if (fault === undefined && used.bytes === 0n) return undefined;
  return {
    failed: fault !== undefined,
    flags: fault ?? 0,
    ...(used.bytes >= showsSpeed && { mbps: Math.round(Number(bestPerSecond * 8n) / 1e6) }),
    ...(line.rttMs > 0 && { rttMs: line.rttMs }),
  };
}

/** The same of a session that never opened, although it was proposed and its first promise may be with the exit. */
export const neverOpened = (code: ErrorCode): Outcome | undefined =>
  itsFault[code] === undefined ? undefined : { failed: true, flags: itsFault[code] };
