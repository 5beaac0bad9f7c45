import type { Logger } from "../lib/ports.ts";
import type { NodeEvent } from "./types.ts";

export type Events = {
  emit(event: NodeEvent): void;
  on(listener: (event: NodeEvent) => void): () => void;
};

/** Tells listeners what happens. They only observe: one that throws is logged and changes nothing. */
export function createEvents(log: Logger): Events {
  const listeners = new Set<(event: NodeEvent) => void>();
  return {
    emit: (event) => {
      for (const listener of listeners) {
        try {
          listener(event);
        } catch (error) {
          log.warn("an event listener threw", { error: String(error) });
        }
      }
    },
    on: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
