import { randomBytes } from "node:crypto";
import type { Connection } from "@libp2p/interface";
import type { Libp2p } from "libp2p";
import type { Clock } from "../lib/clock.ts";
import { deadline } from "../lib/lifecycle.ts";
import type { Logger } from "../lib/ports.ts";
import { rawStream } from "./byte-stream.ts";

type Deps = { host: Pick<Libp2p, "addEventListener">; protocol: string; clock: Clock; log: Logger };
type Pace = { firstMs: number; everyMs: number; withinMs: number };

/** as libp2p's ping has it */
const pingBytes = 32;

/**
 * Pings each connection by itself, soon after it is made and then now and then, notes how long that took, and ends one that does not answer.
 * libp2p's own monitor pings all connections at the same moment, hundreds of them every 10 s.
 * @returns what ends it
 */
export function keepPulse({ host, protocol, clock, log }: Deps, { firstMs, everyMs, withinMs }: Pace): () => void {
  const ends = new Map<Connection, AbortController>();
  const watch = async (connection: Connection, signal: AbortSignal) => {
    for (let waitMs = firstMs; ; waitMs = everyMs) {
      await clock.sleep(waitMs * (0.8 + Math.random() * 0.4), signal);
      try {
        connection.rtt = await pingOver(connection, protocol, deadline(withinMs, signal));
      } catch (error) {
        // who does not know the protocol has answered, too
        if (signal.aborted || (error as Error).name === "UnsupportedProtocolError") continue;
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

/** How long 32 bytes take there and back, ms. */
async function pingOver(connection: Connection, protocol: string, signal: AbortSignal): Promise<number> {
  const stream = await connection.newStream(protocol, { signal, runOnLimitedConnection: true });
  // a connection that is full takes nothing more, and a write has no limit of its own
  const cut = () => stream.abort(signal.reason);
  signal.addEventListener("abort", cut, { once: true });
  try {
    const raw = rawStream(stream, connection.remotePeer.toString());
    const beganMs = performance.now();
    await raw.write(randomBytes(pingBytes));
    for (let got = 0; got < pingBytes; ) {
      const chunk = await raw.next(signal);
      if (!chunk) throw new Error("the ping's stream has ended");
      got += chunk.byteLength;
    }
    const tookMs = performance.now() - beganMs;
    await raw.close();
    return Math.round(tookMs);
  } catch (error) {
    stream.abort(error as Error);
    throw error;
  } finally {
    signal.removeEventListener("abort", cut);
  }
}
