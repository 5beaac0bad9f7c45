import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { Endpoint } from "../services/wireguard/types.ts";

/** Where a node has to go outside of the tunnel, by name or address: what stands in multiaddrs and URLs. */
export type Place = { host: string; port: number };

/** more peers than this are not held on to while a kill switch stands */
const maxPeers = 32;
const lookupMs = 3_000;

/** TCP places of peers themselves; what is relayed or goes another way is left out. */
export const placesOf = (multiaddrs: string[]): Place[] =>
  multiaddrs.flatMap((text) => {
    const [, host, port] = /^\/(?:ip4|ip6|dns|dns4|dns6)\/([^/%]+)\/tcp\/(\d{1,5})(?!.*\/p2p-circuit)/.exec(text) ?? [];
    return host !== undefined && Number(port) > 0 && Number(port) < 65_536 ? [{ host, port: Number(port) }] : [];
  });

/** The same, where a relay stands in for its peer. */
const firstPlaces = (multiaddrs: string[]): Place[] => placesOf(multiaddrs.map((address) => address.replace(/\/p2p\/.*$/, "")));

/** The place of an http or https URL. */
export function placeOfUrl(url: string): Place[] {
  if (!URL.canParse(url)) return [];
  const { hostname, port, protocol } = new URL(url);
  return [{ host: hostname.replace(/^\[|\]$/g, ""), port: Number(port) || (protocol === "https:" ? 443 : 80) }];
}

const isLoopback = (address: string): boolean => /^127\./.test(address) || address === "::1";

/**
 * The narrow way past the kill switch for the node itself: address and port of bootstrap peers, of the chain's RPC and of connected
 * peers. Names are looked up while that is possible, and remembered: once the kill switch stands they are answered inside of the tunnel only.
 */
export function createControlPlane(fixed: { bootstrap: string[]; rpc: string[] }, resolve = systemLookup) {
  const known = new Map<string, string[]>();
  const addressesOf = async (host: string): Promise<string[]> => {
    if (isIP(host)) return [host];
    const found = await resolve(host).catch(() => []);
    if (found.length > 0) known.set(host, found);
    return known.get(host) ?? [];
  };
  const endpointsOf = async (places: Place[]): Promise<Endpoint[]> => {
    const all = await Promise.all(
      places.map(async ({ host, port }) => (await addressesOf(host)).map((address) => ({ address, port, protocol: "tcp" as const }))),
    );
    const reachable = all.flat().filter(({ address }) => !isLoopback(address));
    return [...new Map(reachable.map((endpoint) => [`${endpoint.address} ${endpoint.port}`, endpoint])).values()];
  };
  return {
    /**
     * `peers`: addresses of those that are connected; `through`: of a peer that is reached through the first of two tunnels. On that one's host
     * nothing is reached in any other way, whoever else is there.
     */
    endpoints: async (peers: string[], through: string[] = []): Promise<Endpoint[]> => {
      const wanted = [...placesOf(fixed.bootstrap), ...fixed.rpc.flatMap(placeOfUrl), ...firstPlaces(peers).slice(0, maxPeers)];
      const last = await endpointsOf(placesOf(through));
      const hosts = new Set(last.map(({ address }) => address));
      const all = [...last, ...(await endpointsOf(wanted))];
      const marked = all.map((endpoint): Endpoint => (hosts.has(endpoint.address) ? { ...endpoint, through: true } : endpoint));
      return [...new Map(marked.map((endpoint) => [`${endpoint.address} ${endpoint.port}`, endpoint])).values()];
    },
  };
}

const systemLookup = async (host: string): Promise<string[]> => {
  const late = new Promise<never>((_, reject) => setTimeout(() => reject(new Error("late")), lookupMs).unref());
  const found = await Promise.race([lookup(host, { all: true }), late]);
  return found.map(({ address }) => address);
};
