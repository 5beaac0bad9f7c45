import type { ErrorCode } from "../lib/errors.ts";
import { type Line, unknownLine } from "../payments/line.ts";
import type { SignedPromise } from "../payments/promise.ts";
import type { Credit } from "../payments/quantum.ts";
import type { Terms, Usage } from "../payments/terms.ts";
import type { ConnectionInfo, ToConsumer } from "./messages.ts";

/** What a consumer's side of a session holds, and what comes to it and goes out from it; `stepConsumer` says how it moves. */
export type ConsumerState = {
  phase: "QUOTED" | "OPEN" | "ACTIVE" | "DISPUTED" | "CLOSING" | "CLOSED";
  terms: Terms;
  /** base units: what the used and the prepaid of this session may come to */
  budget: bigint;
  /** the channel as it stood when the session began; their difference was prepaid and not used */
  start: { cumulative: bigint; consumed: bigint };
  /** the channel's cumulative now */
  cumulative: bigint;
  /** what this session's promises cover */
  bought: Usage;
  /** what we hold for used: own count, and of time the exit's where it has counted less */
  used: Usage;
  /** own count of time: what has passed without waits beyond the grace */
  ownMs: number;
  /** ms since the service was opened, waits and all */
  elapsedMs: number;
  /** of the time used, how much at its end was certainly not served: without an answer, or without any sign of life */
  idleMs: number;
  /** what is signed and not acknowledged: the purchase's number, and when it was made by `elapsedMs` */
  pending: { n: number; sinceMs: number } | undefined;
  /** purchases made so far; the proposal's is number 0 */
  purchases: number;
  promises: number;
  /** when the last purchase was made, by `elapsedMs` */
  boughtAtMs: number;
  /** what the line carries, as far as it has been seen */
  line: Line;
  /** what a purchase may cost to be taken at once; undefined: as much as the terms allow */
  credit: Credit | undefined;
  /** since when, by `elapsedMs`, promises have been signed without a rest, and when the last was */
  paying: { sinceMs: number; lastMs: number } | undefined;
  /** when, by `elapsedMs`, the exit's invoice first went above our count */
  disputedSinceMs: number | undefined;
  /** since when, by `elapsedMs`, nothing is left by the exit's count, and by our own there is nothing to buy */
  starvedSinceMs: number | undefined;
  /** the exit's last invoice */
  invoiced: Usage;
  /** `ownMs` when it came */
  invoicedAtMs: number | undefined;
  reason: { code: ErrorCode; message: string } | undefined;
};

export type ConsumerEvent =
  /** the channel's last promise, when there is one */
  | { type: "start"; stored: SignedPromise | undefined }
  | { type: "signed"; promise: SignedPromise }
  /** `elapsedMs`: when, since the service was opened; absent before */
  | { type: "received"; message: ToConsumer; elapsedMs?: number }
  | { type: "opened" }
  /**
   * `used`: own count, without waits beyond the grace; `elapsedMs`: with them; `waitingMs`: how long the service has waited for an answer,
   * 0 when it waits for none; `silentMs`: how long the exit has said nothing; `credit`: as it is by now; `droppedBytes`: what has come as
   * far as this machine and was thrown away by it
   */
  | {
      type: "used";
      used: Usage;
      elapsedMs: number;
      waitingMs: number;
      silentMs: number;
      credit?: Credit | undefined;
      droppedBytes?: bigint;
    }
  | { type: "disconnect" }
  | { type: "failed"; code: ErrorCode; message: string }
  | { type: "serviceClosed"; used: Usage };

export type ConsumerEffect =
  /** put the next promise on disk; its `signed` event follows */
  | { type: "sign"; cumulative: bigint; consumed: bigint }
  | { type: "propose"; bought: Usage; promise: SignedPromise | undefined }
  | { type: "pay"; n: number; bought: Usage; promise: SignedPromise | undefined }
  /** what was signed has not reached the exit: the same once more, with the channel's last promise */
  | { type: "payAgain"; n: number; bought: Usage }
  | { type: "openService"; connection: ConnectionInfo }
  /** `alone`: nobody is there to answer */
  | { type: "closeService"; alone: boolean }
  | { type: "sendClose" }
  /** put on disk what the session used up of the channel; it is over */
  | { type: "finish"; consumed: bigint };

/** So much is between two purchases at least: no exit has to verify and put on disk more than ten promises a second of one session. */
export const buyEveryMs = 100;

const nothing: Usage = { bytes: 0n, ms: 0 };

export const initialConsumer = (
  options: Pick<ConsumerState, "terms" | "budget" | "start"> & Partial<Pick<ConsumerState, "credit">>,
): ConsumerState => ({
  phase: "QUOTED",
  credit: undefined,
  paying: undefined,
  ...options,
  cumulative: options.start.cumulative,
  bought: nothing,
  used: nothing,
  ownMs: 0,
  elapsedMs: 0,
  idleMs: 0,
  pending: undefined,
  purchases: 0,
  promises: 0,
  boughtAtMs: -buyEveryMs,
  line: unknownLine,
  disputedSinceMs: undefined,
  starvedSinceMs: undefined,
  invoiced: nothing,
  invoicedAtMs: undefined,
  reason: undefined,
});
