import type { Libp2pEvents, Listener, TypedEventTarget } from "@libp2p/interface";
import { type Multiaddr, multiaddr } from "@multiformats/multiaddr";
import { isPublic, placeOf } from "./diversity.ts";

export type HostPort = { host: string; port: number };

type Options = { type: "transport" | "ip-mapping"; ttl: number };
type MapAddress = (ownHost: string, ownPort: number, host: string, port: number, protocol: "tcp") => void;
/** What libp2p hands to each of its services, as far as it is used here. */
export type Components = {
  events: Pick<TypedEventTarget<Libp2pEvents>, "addEventListener">;
  addressManager: {
    confirmObservedAddr(address: Multiaddr, options: Options): void;
    removeObservedAddr(address: Multiaddr, options: { ttl: number }): void;
    addPublicAddressMapping: MapAddress;
    removePublicAddressMapping: MapAddress;
  };
  transportManager: { getAddrs(): Multiaddr[]; listen(addresses: Multiaddr[]): Promise<void> };
};

const forever = Number.POSITIVE_INFINITY;

/**
 * Announces the public addresses that we listen on, as a service for the libp2p host. libp2p announces such an address only once AutoNAT
 * has vouched for it, which needs others who offer that; we have been told to listen there, and it is an address of this machine.
 * (Private and loopback ones it announces by itself.) Whether it is reached shows later: `reaching` withdraws it.
 */
export const announceOwnAddresses = () => (components: Components) => {
  const { events, addressManager, transportManager } = components;
  events.addEventListener("transport:listening", ({ detail }: CustomEvent<Listener>) => {
    for (const address of detail.getAddrs()) addressManager.confirmObservedAddr(address, { type: "transport", ttl: forever });
  });
  const listening = () => transportManager.getAddrs().filter((address) => placeOf(address.toString()) !== undefined);
  return {
    /** where this peer itself listens, as multiaddrs */
    listening: (): string[] => listening().map(String),
    /** Announces the public addresses of a kind, or no more. */
    confirm: (family: "ip4" | "ip6", isReached: boolean) => {
      for (const address of listening().filter((one) => isPublic(String(one)) && String(one).startsWith(`/${family}/`)))
        if (isReached) addressManager.confirmObservedAddr(address, { type: "transport", ttl: forever });
        else addressManager.removeObservedAddr(address, { ttl: forever });
    },
    /** Announces an IPv4 address of a router that leads to one of ours. @returns what withdraws it */
    announce: (own: HostPort, outside: HostPort): (() => void) => {
      const places = [own.host, own.port, outside.host, outside.port, "tcp"] as const;
      addressManager.addPublicAddressMapping(...places);
      addressManager.confirmObservedAddr(multiaddr(`/ip4/${outside.host}/tcp/${outside.port}`), { type: "ip-mapping", ttl: forever });
      return () => addressManager.removePublicAddressMapping(...places);
    },
    listenMore: (addresses: string[]) => transportManager.listen(addresses.map((address) => multiaddr(address))),
  };
};

export type OwnAddresses = ReturnType<ReturnType<typeof announceOwnAddresses>>;
