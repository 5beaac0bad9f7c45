import { circuitRelayTransport } from "@libp2p/circuit-relay-v2";
import type { Connection, Stream, Transport } from "@libp2p/interface";
import type { Libp2p } from "libp2p";
import { isLoopback, isPublic } from "./diversity.ts";

const stopProtocol = "/libp2p/circuit/relay/0.2.0/stop";
/** Listening on this means: on any relay among the peers that are met. */
const anyRelay = "/p2p-circuit";
/** relays at a time: when one goes the other is there */
const wantedRelays = 2;
/** what to listen on to be reached through them */
export const throughRelays = Array.from({ length: wantedRelays }, () => anyRelay);

/** What a peer has to do with relays, see `NetworkOptions`. */
export type RelayUse = "auto" | "use" | "none";

/**
 * Where to listen: by oneself, and whether through relays. `own` are the addresses of the machine's interfaces, as multiaddrs.
 */
export function planListening(listen: string[], use: RelayUse, own: string[]): { direct: string[]; relays: string[] } {
  const direct = listen.filter((address) => address !== anyRelay);
  const wanted = use === "use" || direct.length < listen.length || (use === "auto" && needsRelay(direct, own));
  return { direct, relays: wanted ? [...throughRelays] : [] };
}

/** It listens, but on no address that is public. Where all is loopback there is nobody outside. 0.0.0.0 and :: stand for all of `own`. */
export function needsRelay(direct: string[], own: string[]): boolean {
  const addresses = direct.flatMap((address) => {
    const [, family, host] = /^\/(ip[46])\/([^/]+)/.exec(address) ?? [];
    return host === "0.0.0.0" || host === "::" ? own.filter((one) => one.startsWith(`/${family}/`)) : [address];
  });
  return direct.length > 0 && !direct.every(isLoopback) && !addresses.some(isPublic);
}

type Components = Parameters<ReturnType<typeof circuitRelayTransport>>[0];
/** What the transport's class has beyond its published interface; the version is pinned exactly. */
type Internals = {
  onStop(stream: Stream, connection: Connection): Promise<void>;
  reservationStore: { hasReservation(peer: unknown): boolean };
};

/** Left to itself it looks through the DHT without a pause for as long as it has no relay: there are peers enough that come by. */
const noWalk: Components["randomWalk"] = { walk: async function* () {} };

/**
 * The transport by which relayed peers are dialled and, with `anyRelay` among the addresses to listen on, this peer is reached. Left to
 * itself it takes a connection from whoever claims to relay one, and makes that peer one of its relays; `guard` ends that. To be called
 * once the host has started.
 */
export function createRelayTransport() {
  let made: Transport | undefined;
  return {
    transport: (components: Components): Transport => {
      made = circuitRelayTransport()(Object.create(components, { randomWalk: { value: noWalk } }));
      return made;
    },
    guard: async (host: Pick<Libp2p, "handle" | "unhandle">, listens: boolean): Promise<void> => {
      const inner = made as unknown as Internals;
      await host.unhandle(stopProtocol);
      if (!listens) return;
      const handler = async (stream: Stream, connection: Connection) => {
        if (inner.reservationStore.hasReservation(connection.remotePeer)) await inner.onStop(stream, connection);
        else stream.abort(new Error("no relay of ours"));
      };
      await host.handle(stopProtocol, handler, { maxInboundStreams: 300, runOnLimitedConnection: true });
    },
  };
}
