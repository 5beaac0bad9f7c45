import type { AbortOptions, Connection } from "@libp2p/interface";
import type { Libp2p } from "libp2p";
import type { Clock } from "../lib/clock.ts";
import { deadline } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";

type Deps = { host: Pick<Libp2p, "addEventListener">; clock: Clock; log: Logger };
type Pace = { firstMs: number; everyMs: number; withinMs: number };
/** What libp2p's connection over yamux has beyond its published interface; the version is pinned exactly. */
type Internals = { muxer: { ping(options: AbortOptions): Promise<unknown> } };

/**
 * Pings each connection by itself, soon after it is made and then now and then, notes how long that took, and ends one that does not answer.
 * libp2p's own monitor pings all connections at the same moment, hundreds of them every 10 s, each over a stream of its own, which takes some
 * twenty packets; the muxer's ping takes two.
 * @returns what ends it
 */
export function keepPulse({ host, clock, log }: Deps, { firstMs, everyMs, withinMs }: Pace): () => void {
  const ends = new Map<Connection, AbortController>();
  const watch = async (connection: Connection, signal: AbortSignal) => {
    const { muxer } = connection as unknown as Internals;
    for (let waitMs = firstMs; ; waitMs = everyMs) {
      await clock.sleep(waitMs * (0.8 + Math.random() * 0.4), signal);
      try {
        const beganMs = performance.now();
        await muxer.ping({ signal: deadline(withinMs, signal) });
        connection.rtt = Math.round(performance.now() - beganMs);
      } catch (error) {
        if (signal.aborted) return;
        log.debug("a connection has gone dead", { peer: connection.remotePeer.toString() });
        return connection.abort(error as Error);
      }
    }
  };
  host.addEventListener("connection:open", ({ detail: connection }) => {
    const end = new AbortController();
    ends.set(connection, end);
    watch(connection, end.signal).catch(() => undefined);
  });
  const forget = (connection: Connection) => {
    ends.get(connection)?.abort();
    ends.delete(connection);
  };
  host.addEventListener("connection:close", ({ detail }) => forget(detail));
  return () => {
    for (const connection of ends.keys()) forget(connection);
  };
}
