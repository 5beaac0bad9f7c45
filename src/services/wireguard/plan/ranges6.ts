import ipaddr from "ipaddr.js";
import type { Rule } from "../../policy.ts";
import { type Range, rangeOf } from "./ranges.ts";

/** IPv6 addresses as numbers, both ends included. */
export type Range6 = [first: bigint, last: bigint];

export const toNumber6 = (address: string): bigint =>
  ipaddr.IPv6.parse(address)
    .toByteArray()
    .reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
/** In its one shortest form, as the kernel prints it. */
export const toAddress6 = (value: bigint): string =>
  new ipaddr.IPv6(Array.from({ length: 16 }, (_, i) => Number((value >> BigInt(8 * (15 - i))) & 0xffn))).toRFC5952String();

/** First and last address of a network; what is set below the prefix does not count. */
export function range6Of(address: string, bits: number): Range6 {
  const size = 1n << BigInt(128 - bits);
  const first = (toNumber6(address) / size) * size;
  return [first, first + size - 1n];
}

/** The IPv6 range of a rule; a rule for IPv4 has none but behind a NAT64 gateway. */
export const ruleRange6 = ({ range: [address, bits] }: Rule): Range6[] =>
  address.kind() === "ipv6" ? [range6Of(address.toString(), bits)] : [];

const nat64 = range6Of("64:ff9b::", 96);
/** What a NAT64 gateway would make of an IPv4 range (RFC 6052): an exit may have one on its way. */
export const throughNat64 = ([first, last]: Range): Range6 => [nat64[0] + BigInt(first), nat64[0] + BigInt(last)];
export const ruleThroughNat64 = ({ range: [address, bits] }: Rule): Range6[] =>
  address.kind() === "ipv4" ? [throughNat64(rangeOf(address.toString(), bits))] : [];

/** In order, without overlap: nft refuses a set whose ranges overlap. */
function merged(ranges: Range6[]): Range6[] {
  const all: Range6[] = [];
  for (const [first, last] of ranges.toSorted((a, b) => (a[0] < b[0] ? -1 : 1))) {
    const before = all.at(-1);
    if (before && first <= before[1] + 1n) before[1] = last > before[1] ? last : before[1];
    else all.push([first, last]);
  }
  return all;
}

/** As elements of an nft set. */
export const elements6 = (ranges: Range6[]): string =>
  merged(ranges)
    .map(([first, last]) => (first === last ? toAddress6(first) : `${toAddress6(first)}-${toAddress6(last)}`))
    .join(", ");

const globalUnicast = range6Of("2000::", 3);

type Block = [ipaddr.IPv6, number];
/** one block, or several */
const special = (ipaddr.IPv6.prototype as unknown as { SpecialRanges: Record<string, Block | Block[]> }).SpecialRanges;

/**
 * Every IPv6 range that is not the public internet, as `judge` of policy.ts has it: all that was not given out for global use, but for what a
 * NAT64 gateway takes to the public internet of IPv4; and within that what ipaddr.js does not call "unicast" (6to4, Teredo, documentation, …).
 */
export const specialRanges6 = (special4: Range[]): Range6[] => [
  [0n, nat64[0] - 1n],
  ...special4.map(throughNat64),
  [nat64[1] + 1n, globalUnicast[0] - 1n],
  ...Object.values(special)
    .flatMap((one): Block[] => (Array.isArray(one[0]) ? (one as Block[]) : [one as Block]))
    .map(([address, bits]) => range6Of(address.toString(), bits))
    .filter(([first, last]) => first >= globalUnicast[0] && last <= globalUnicast[1]),
  [globalUnicast[1] + 1n, (1n << 128n) - 1n],
];

/** ISATAP (RFC 5214): IPv4 in an interface identifier, inside any prefix. */
export const isatap = "ip6 daddr & ::fdff:ffff:0:0 == ::5efe:0:0";
