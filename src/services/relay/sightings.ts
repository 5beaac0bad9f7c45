import type { Clock } from "../../lib/clock.ts";
import { createQuota } from "../../network/quota.ts";
import type { Place } from "../nat.ts";
import { type GreetingKey, isGreetingTo, mayBeGreeting, newGreetingKey } from "./greeting.ts";

/** What is waited for: a greeting to a key that one peer was told. */
export type Sighting = GreetingKey & {
  peer: string;
  place?: Place | undefined;
};

export type Sightings = {
  /** A new key for this peer. Undefined while too many are waited for: of it, or in all. */
  open(peer: string): Sighting | undefined;
  close(sighting: Sighting): void;
  /** Tries a datagram against these keys; where it was seen for the one that it greets is noted, and that one returned. */
  greeted(datagram: Uint8Array, from: Place, sightings: Iterable<Sighting>): Sighting | undefined;
  /** Where a key's holder is seen, once it is; undefined when that does not come in time. Only who was told the key is answered. */
  seen(peer: string, key: Uint8Array, signal: AbortSignal): Promise<Place | undefined>;
};

const most = 1024;
const mostOfPeer = 8;
/** greetings that are tried, of all senders: each costs a hash for each key */
const tried = { burst: 200, perSecond: 200 };

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** Greetings that peers were told to send, by key. */
export function createSightings(clock: Pick<Clock, "nowMs">): Sightings {
  const known = new Map<string, Sighting>();
  const waiting = new Map<string, Set<() => void>>();
  const quota = createQuota(clock, tried);
  return {
    open: (peer) => {
      const mine = [...known.values()].filter((one) => one.peer === peer).length;
      if (known.size >= most || mine >= mostOfPeer) return undefined;
      const sighting: Sighting = { ...newGreetingKey(), peer };
      known.set(hex(sighting.key), sighting);
      return sighting;
    },
    close: ({ key }) => void known.delete(hex(key)),
    greeted: (datagram, from, sightings) => {
      if (!mayBeGreeting(datagram) || !quota.take("")) return undefined;
      for (const sighting of sightings) {
        if (!isGreetingTo(sighting, datagram)) continue;
        sighting.place = from;
        for (const wake of waiting.get(hex(sighting.key)) ?? []) wake();
        return sighting;
      }
      return undefined;
    },
    seen: async (peer, key, signal) => {
      const sighting = known.get(hex(key));
      if (sighting?.peer !== peer || sighting.place || signal.aborted) return sighting?.peer === peer ? sighting.place : undefined;
      const list = waiting.get(hex(key)) ?? new Set();
      waiting.set(hex(key), list);
      const { promise, resolve } = Promise.withResolvers<void>();
      list.add(resolve);
      signal.addEventListener("abort", () => resolve(), { once: true });
      await promise;
      list.delete(resolve);
      if (list.size === 0) waiting.delete(hex(key));
      return sighting.place;
    },
  };
}
