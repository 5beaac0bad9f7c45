import type { ServiceHandle } from "../services/service.ts";

/** What can be seen of an exit while its session goes on. */
export type Look = {
  /** how long it has said nothing */
  silentMs: number;
  /** how long what was asked has gone without an answer; 0 when nothing is waited for */
  waitingMs: number;
  usedBytes: bigint;
  /** what has come from the exit, or is known from it to have been carried: it rises only while the exit lives */
  comeBytes: bigint;
};

export function lookAt(service: Pick<ServiceHandle, "usedBytes" | "receivedBytes" | "unanswered">, silentMs: number): Look {
  const usedBytes = service.usedBytes();
  const comeBytes = service.receivedBytes?.() ?? usedBytes;
  return { silentMs, waitingMs: service.unanswered().nowMs, usedBytes, comeBytes };
}
