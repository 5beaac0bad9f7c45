import { type ErrorCode, MystError } from "../lib/errors.ts";
import type { ConsumerState } from "./consumer-state.ts";

/** What a peer may end a proposal with; any other code of its is told as PEER_REFUSED. */
const passedOn: ErrorCode[] = [
  "EXIT_FULL",
  "PAYER_REFUSED",
  "OFFER_EXPIRED",
  "SERVICE_UNKNOWN",
  "CREDIT_MISMATCH",
  "PROMISE_REFUSED",
  "PAYER_CONFLICT",
  "NO_DEPOSIT",
  "ACCOUNT_CLOSING",
];

/** What a session that never was open has ended with. `refused`: what the exit said. */
export function endError(
  state: ConsumerState,
  refused: { code: string; message: string; consumed?: bigint | undefined } | undefined,
  signal: AbortSignal,
) {
  if (signal.aborted) return new MystError("INTERRUPTED", "interrupted before the session was open");
  const code = passedOn.find((known) => known === refused?.code);
  if (refused)
    return new MystError(code ?? "PEER_REFUSED", `the exit refused: ${refused.message}`, {
      ...(refused.consumed !== undefined && { meta: { consumed: refused.consumed } }),
    });
  return new MystError(state.reason?.code ?? "PEER_UNREACHABLE", state.reason?.message ?? "the session ended before it was open");
}
