import { asMystError, MystError } from "../lib/errors.ts";
import { within } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";

/** One part's end; undefined: it was never begun. `quietly`: it is no news when this takes too long. */
export type Ending = { what: string; withinMs: number; end(): Promise<unknown> | undefined; quietly?: true };

/**
 * Ends a node's parts, one after the other. One that fails, or waits for a peer or a chain longer than it may, is left behind with a
 * word in the log, and the next is ended all the same: what it has not done the next start does. Never throws.
 */
export async function endInOrder(endings: Ending[], log: Logger): Promise<void> {
  for (const { what, withinMs, end, quietly } of endings) {
    try {
      await within(Promise.resolve(end()), withinMs, "INTERNAL", what);
    } catch (error) {
      const { code, message } = asMystError(error);
      log[quietly ? "info" : "warn"]("not ended in order", { what, code, message });
    }
  }
}

/** Work that brings up parts, which have to be ended: it is waited for, and none begins once `signal` has fired (INTERRUPTED). */
export function trackWork(signal: AbortSignal) {
  const underWay = new Set<Promise<unknown>>();
  const tracked = <T>(begin: () => Promise<T>): Promise<T> => {
    if (signal.aborted) return Promise.reject(new MystError("INTERRUPTED", "the node has been told to end"));
    const work = begin();
    underWay.add(work);
    const forget = () => underWay.delete(work);
    work.then(forget, forget);
    return work;
  };
  return { underWay, tracked };
}
