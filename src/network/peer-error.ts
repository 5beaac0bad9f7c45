import { isMystError, MystError } from "../lib/errors.ts";

const nameOf = (error: unknown): string => (error as { name?: string } | undefined)?.name ?? "";

/**
 * What libp2p, a socket or a signal threw while talking to a peer, in our own terms: PEER_TIMEOUT when a deadline passed,
 * INTERRUPTED when the caller gave up, PEER_REFUSED when the peer does not speak the protocol, else PEER_UNREACHABLE.
 */
export function peerError(peer: string, cause: unknown, signal?: AbortSignal): MystError {
  if (isMystError(cause)) return cause;
  const reason: unknown = signal?.aborted ? signal.reason : undefined;
  if (isMystError(reason)) return reason;
  if (reason !== undefined && nameOf(reason) !== "TimeoutError")
    return new MystError("INTERRUPTED", `gave up on peer ${peer}`, { meta: { peer }, cause });
  if (reason !== undefined || nameOf(cause) === "TimeoutError")
    return new MystError("PEER_TIMEOUT", `peer ${peer} did not answer in time`, { meta: { peer }, cause });
  if (nameOf(cause) === "UnsupportedProtocolError")
    return new MystError("PEER_REFUSED", `peer ${peer} does not speak this protocol`, { meta: { peer }, cause });
  return new MystError("PEER_UNREACHABLE", `peer ${peer} cannot be reached`, { meta: { peer }, cause });
}
