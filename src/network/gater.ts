import type { ConnectionGater } from "@libp2p/interface";
import type { Bans } from "./bans.ts";
import { networkOf } from "./diversity.ts";

/** Connections that others may have opened to us from one /24 or /48. */
const maxInboundPerNetwork = 32;

/**
 * Who is let in, and whom nobody here dials. `inbound`: where the connections are from that others have opened. A host that banned peers come
 * from is turned away before any handshake, which costs us more than it costs them; so is one more of a network that has many here.
 */
export function createGater(bans: Pick<Bans, "denied" | "deniedHost">, inbound: () => string[]): ConnectionGater {
  const check = (peer: { toString(): string }) => bans.denied(peer.toString());
  const isCrowded = (address: string) => {
    const network = networkOf(address);
    return network !== undefined && inbound().filter((other) => networkOf(other) === network).length >= maxInboundPerNetwork;
  };
  return {
    denyInboundConnection: ({ remoteAddr }) => {
      const address = remoteAddr.toString();
      return bans.deniedHost(address) || isCrowded(address);
    },
    denyDialPeer: check,
    denyDialMultiaddr: (address) => bans.deniedHost(address.toString()),
    // an inbound peer is known by its key only once the handshake is done
    denyInboundEncryptedConnection: check,
    denyOutboundEncryptedConnection: check,
    denyInboundRelayedConnection: (_, remote) => check(remote),
    denyOutboundRelayedConnection: (source, destination) => check(source) || check(destination),
  };
}
