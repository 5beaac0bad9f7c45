import { isIP } from "node:net";
import ipaddr from "ipaddr.js";

/** ATYP ADDRESS PORT, as RFC 1928 has it in requests, replies and datagrams; ours on the wire is the same. */
export type Written = {
  /** an address, or a name of printable ASCII: more the exit checks */
  host: string;
  port: number;
  /** bytes that it takes */
  length: number;
};

const ipv4Type = 1;
const nameType = 3;
const ipv6Type = 4;
/** what a name of 255 characters takes */
export const maxAddressBytes = 259;

/** Reads one from the beginning of `bytes`. "short": there is more to come; "type": none that we have; "name": none that can be one. */
export function readAddress(bytes: Uint8Array): Written | "short" | "type" | "name" {
  const [type, first] = bytes;
  if (type === undefined) return "short";
  if (type !== ipv4Type && type !== nameType && type !== ipv6Type) return "type";
  if (first === undefined) return "short";
  const from = type === nameType ? 2 : 1;
  const end = from + (type === ipv4Type ? 4 : type === ipv6Type ? 16 : first);
  if (bytes.length < end + 2) return "short";
  const address = bytes.subarray(from, end);
  const host = type === nameType ? nameOf(address) : ipaddr.fromByteArray([...address]).toString();
  if (host === undefined) return "name";
  return { host, port: ((bytes[end] ?? 0) << 8) | (bytes[end + 1] ?? 0), length: end + 2 };
}

function nameOf(bytes: Uint8Array): string | undefined {
  const name = String.fromCharCode(...bytes);
  return /^[\x21-\x7e]+$/.test(name) ? name : undefined;
}

/** The bytes of a name (of at most 255 characters), or of an IP address without a zone, and a port. */
export function writeAddress(host: string, port: number): Uint8Array {
  const family = isIP(host);
  const name = Buffer.from(host, "latin1");
  const address = family === 0 ? [name.length, ...name] : ipaddr.parse(host).toByteArray();
  return Uint8Array.of(family === 0 ? nameType : family === 4 ? ipv4Type : ipv6Type, ...address, port >> 8, port & 0xff);
}
