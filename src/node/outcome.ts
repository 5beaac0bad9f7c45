import type { ErrorCode } from "../lib/errors.ts";
import { flags } from "../reputation/record.ts";
import type { OwnSession } from "../reputation/telling.ts";
import type { ConsumerState } from "../session/consumer-state.ts";
import type { EgressView } from "./types.ts";

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
 * @param egress where its traffic came out; in another country than was claimed is a fault of the exit's
 */
export function outcomeOf(
  { used, reason, line }: Pick<ConsumerState, "used" | "reason" | "line">,
  bestPerSecond: bigint,
  egress?: EgressView,
): Outcome | undefined {
  const ended = reason && itsFault[reason.code];
  const fault = egress?.elsewhere ? (ended ?? 0) | flags.elsewhere : ended;
  if (fault === undefined && used.bytes === 0n) return undefined;
  return {
    failed: fault !== undefined,
    flags: fault ?? 0,
    ...(used.bytes >= showsSpeed && { mbps: Math.round(Number(bestPerSecond * 8n) / 1e6) }),
    ...(line.rttMs > 0 && { rttMs: line.rttMs }),
    ...(egress?.country !== undefined && { egressCountry: egress.country }),
    ...(egress?.asn !== undefined && { egressAsn: egress.asn }),
  };
}

/** The same of a session that never opened, although it was proposed and its first promise may be with the exit. */
export const neverOpened = (code: ErrorCode): Outcome | undefined =>
  itsFault[code] === undefined ? undefined : { failed: true, flags: itsFault[code] };
