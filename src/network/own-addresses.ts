import type { Libp2pEvents, Listener, TypedEventTarget } from "@libp2p/interface";
import type { Multiaddr } from "@multiformats/multiaddr";

/** What libp2p hands to each of its services, as far as it is used here. */
type Components = {
  events: Pick<TypedEventTarget<Libp2pEvents>, "addEventListener">;
  addressManager: { confirmObservedAddr(address: Multiaddr, options: { type: "transport"; ttl: number }): void };
};

/**
 * Announces the public addresses that we listen on, as a service for the libp2p host. libp2p announces such an address only once AutoNAT
 * has vouched for it, which needs others who offer that; we have been told to listen there, and it is an address of this machine.
 * (Private and loopback ones it announces by itself.)
 */
export const announceOwnAddresses = () => (components: Components) => {
  components.events.addEventListener("transport:listening", ({ detail }: CustomEvent<Listener>) => {
    for (const address of detail.getAddrs())
      components.addressManager.confirmObservedAddr(address, { type: "transport", ttl: Number.POSITIVE_INFINITY });
  });
  return {};
};
