import { type CircuitRelayService, circuitRelayServer } from "@libp2p/circuit-relay-v2";
import type { Connection, Stream } from "@libp2p/interface";
import type { Libp2p } from "libp2p";
import { MystError } from "../lib/errors.ts";
import { networkOf } from "./diversity.ts";
import { pausing } from "./pausing.ts";

/** What a relay carries for others, unpaid. */
export type RelayOffer = {
  /** for each relayed connection, both directions together; default: any amount */
  dataLimit?: bigint;
  /** of each relayed connection, up to 24 days; default: without end */
  timeLimitMs?: number;
};

/** A relay that cuts a connection off after less is of no use for anything that is paid for: libp2p's default is 128 KiB. */
export const leastRelayed = 64n << 20n;

const hopProtocol = "/libp2p/circuit/relay/0.2.0/hop";
const maxReservations = 64;
/** the same bound as for routing tables: one network must not take all places */
const maxOfOneNetwork = 3;
/** a peer renews five minutes before; one that has gone keeps its place no longer than this */
const reservationMs = 30 * 60_000;
/** to be connected to at a time by one peer, and to be asked for by one */
const maxStreams = 64;
const endlessMs = 24 * 24 * 3_600_000;
/** What may lie in between when the receiving side is the slower one. */
const holdAtBytes = 512 * 1024;
const goAtBytes = 256 * 1024;

/** The relay service for the libp2p host. Without limits its connections are like any other. @throws BAD_VALUE for a limit that is too low */
export function relayService({ dataLimit, timeLimitMs }: RelayOffer) {
  if (dataLimit !== undefined && dataLimit < leastRelayed)
    throw new MystError("BAD_VALUE", "nobody pays for a connection that a relay cuts off so early", {
      hint: "let it carry 64MiB at least, for example --relay-data 1GiB",
    });
  return circuitRelayServer({
    maxInboundHopStreams: maxStreams,
    maxOutboundStopStreams: maxStreams,
    reservations: {
      maxReservations,
      reservationTtl: reservationMs,
      applyDefaultLimit: dataLimit !== undefined || timeLimitMs !== undefined,
      defaultDataLimit: dataLimit ?? 2n ** 63n - 1n,
      defaultDurationLimit: Math.min(timeLimitMs ?? endlessMs, endlessMs),
    },
  });
}

/** Is there a place for a peer at these addresses, beside those who have one? */
export function roomForReservation(addresses: string[], reserved: string[]): boolean {
  const networks = addresses.map(networkOf).filter((network) => network !== undefined);
  return networks.every((network) => reserved.filter((address) => networkOf(address) === network).length < maxOfOneNetwork);
}

/** What the relay's class has beyond its published interface; the version is pinned exactly. */
type Internals = {
  onHop(stream: Stream, connection: Connection): Promise<void>;
  stopHop(...args: unknown[]): Promise<Stream | undefined>;
};

/**
 * Serves only peers of this network, and bounds what the relay holds for them: it joins two streams through a queue without an end, so
 * that a sender faster than its receiver would fill the memory. To be called once the host has started.
 */
export async function guardRelay(
  host: Pick<Libp2p, "handle" | "unhandle">,
  relay: CircuitRelayService,
  admitted: (peer: string) => Promise<boolean>,
): Promise<void> {
  const inner = relay as unknown as Internals;
  const { onHop, stopHop } = Object.getPrototypeOf(inner) as Internals;
  await host.unhandle(hopProtocol);
  const handler = async (stream: Stream, connection: Connection) => {
    if (!(await admitted(connection.remotePeer.toString()))) return stream.abort(new Error("not of this network"));
    const paced = async (...args: unknown[]) => {
      const far = await stopHop.apply(inner, args);
      if (far) for (const [from, to] of [[stream, far] as const, [far, stream] as const]) keepPace(from, to);
      return far;
    };
    await onHop.call(Object.create(inner, { stopHop: { value: paced } }), stream, connection);
  };
  await host.handle(hopProtocol, handler, { maxInboundStreams: maxStreams, runOnLimitedConnection: true });
}

/**
 * Makes `from` wait while what has come of it waits to be sent to `to`. It begins with the first bytes that are sent on: a listener that
 * was there before the relay's own would be given what is the relay's.
 */
export function keepPace(from: Stream, to: Stream): void {
  let waiting = 0;
  let watched = false;
  const pace = pausing(from, () => waiting >= holdAtBytes);
  const send = to.send.bind(to);
  to.send = (data) => {
    if (watched) waiting = Math.max(0, waiting - data.byteLength);
    else
      from.addEventListener("message", ({ data: more }) => {
        waiting += more.byteLength;
        pace.look();
      });
    watched = true;
    if (pace.paused() && waiting < goAtBytes) pace.resume();
    return send(data);
  };
}
