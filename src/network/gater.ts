import type { ConnectionGater } from "@libp2p/interface";
import type { Clock } from "../lib/clock.ts";

/** Peers that nobody here talks to for a while. */
export type Gater = {
  gater: ConnectionGater;
  deny(peer: string, forMs: number): void;
  denied(peer: string): boolean;
};

const maxDenied = 4096;

/** The denial list, in memory: a peer may earn its way back after a restart. The oldest entry goes when there are too many. */
export function createGater(clock: Pick<Clock, "nowMs">): Gater {
  const until = new Map<string, number>();
  const denied = (peer: string): boolean => {
    const untilMs = until.get(peer);
    if (untilMs === undefined) return false;
    if (clock.nowMs() < untilMs) return true;
    until.delete(peer);
    return false;
  };
  const deny = (peer: string, forMs: number) => {
    until.delete(peer);
    until.set(peer, clock.nowMs() + forMs);
    const oldest = until.keys().next().value;
    if (until.size > maxDenied && oldest !== undefined) until.delete(oldest);
  };
  const check = (peer: { toString(): string }) => denied(peer.toString());
  return {
    deny,
    denied,
    // an inbound peer is known by its key only once the handshake is done
    gater: {
      ...{ denyDialPeer: check, denyInboundEncryptedConnection: check, denyOutboundEncryptedConnection: check },
      denyInboundRelayedConnection: (_, remote) => check(remote),
      denyOutboundRelayedConnection: (source, destination) => check(source) || check(destination),
    },
  };
}
