import { isIPv4, isIPv6 } from "node:net";
import ipaddr from "ipaddr.js";

/** A peer by the addresses it is really connected from. */
export type Contact = { addresses: string[] };

const maxPerBucket = 2;
const maxPerTable = 3;

const ipOf = (address: string): string | undefined => {
  const [, kind, ip = ""] = address.split("/");
  return (kind === "ip4" && isIPv4(ip)) || (kind === "ip6" && isIPv6(ip)) ? ip : undefined;
};

/** Does this multiaddr lead through a relay? Then it says where that is. */
export const isRelayed = (address: string): boolean => address.includes("/p2p-circuit");

/** Is this multiaddr on the machine itself? A name is not, whatever it resolves to. */
export const isLoopback = (address: string): boolean => {
  const ip = ipOf(address);
  return ip !== undefined && ipaddr.process(ip).range() === "loopback";
};

/** Does this multiaddr begin with an IP address that the whole internet may reach? */
export const isPublic = (address: string): boolean => {
  const ip = ipOf(address);
  return ip !== undefined && ipaddr.process(ip).range() === "unicast";
};

/** The IP address of a host elsewhere; undefined for loopback, where all peers share it, and for anything without an address. */
export const hostOf = (address: string): string | undefined => {
  const ip = ipOf(address);
  return ip === undefined || isLoopback(address) ? undefined : ipaddr.process(ip).toString();
};

/** What one line has to itself: an IPv4 address, or the /64 of an IPv6 one, of which any address costs nothing; undefined as for `hostOf`. */
export function lineOf(address: string): string | undefined {
  const host = hostOf(address);
  if (host === undefined || isIPv4(host)) return host;
  return ipaddr.process(host).toByteArray().slice(0, 8).join(".");
}

/** IP address and TCP port of a multiaddr; undefined for one that has no such place of its own. */
export function placeOf(address: string): { host: string; port: number } | undefined {
  const host = ipOf(address);
  const [, , , transport, port = ""] = address.split("/");
  return host !== undefined && transport === "tcp" && /^\d{1,5}$/.test(port) && !isRelayed(address)
    ? { host, port: Number(port) }
    : undefined;
}

/** The /24 of an IPv4 address, the /48 of an IPv6 one; undefined for loopback and for anything without an address. */
export function networkOf(address: string): string | undefined {
  const ip = ipOf(address);
  if (ip === undefined || isLoopback(address)) return undefined;
  const bytes = ipaddr.process(ip).toByteArray();
  return bytes.slice(0, bytes.length === 4 ? 3 : 6).join(".");
}

/** What one operator or data centre often has as a whole: the /16 of an IPv4 address, the /32 of an IPv6 one; undefined as for `networkOf`. */
export function siteOf(address: string): string | undefined {
  const bytes = networkOf(address)?.split(".");
  return bytes?.slice(0, bytes.length === 3 ? 2 : 4).join(".");
}

/**
 * May this contact enter a Kademlia table? At most 2 of one /24 or /48 in a bucket and 3 in the table, so that filling
 * someone's table takes addresses in many networks and not just keys.
 */
export function roomInTable(contact: Contact, bucket: Contact[], table: Contact[]): boolean {
  const networks = new Set(contact.addresses.map(networkOf).filter((network) => network !== undefined));
  const sharing = (contacts: Contact[], network: string) =>
    contacts.filter(({ addresses }) => addresses.some((address) => networkOf(address) === network)).length;
  for (const network of networks) if (sharing(bucket, network) >= maxPerBucket || sharing(table, network) >= maxPerTable) return false;
  return true;
}

/**
 * The same items with those put last that have `most` of their /24 or /48 before them already: so that whoever takes the first few does
 * not take them all from one network.
 */
export function apart<T>(items: T[], addressesOf: (item: T) => string[], most: number): T[] {
  const seen = new Map<string, number>();
  const late: T[] = [];
  const first = items.filter((item) => {
    const networks = new Set(
      addressesOf(item)
        .map(networkOf)
        .filter((network) => network !== undefined),
    );
    if ([...networks].some((network) => (seen.get(network) ?? 0) >= most)) {
      late.push(item);
      return false;
    }
    for (const network of networks) seen.set(network, (seen.get(network) ?? 0) + 1);
    return true;
  });
  return [...first, ...late];
}
