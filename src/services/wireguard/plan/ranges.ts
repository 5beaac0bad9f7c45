import ipaddr from "ipaddr.js";
import type { Rule } from "../../policy.ts";

/** IPv4 addresses as numbers, both ends included. */
export type Range = [first: number, last: number];

export const ipv4Max = 0xff_ff_ff_ff;

export const toNumber = (address: string): number => address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
export const toAddress = (value: number): string => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join(".");

/** First and last address of a network; what is set below the prefix does not count. */
export function rangeOf(address: string, bits: number): Range {
  const size = 2 ** (32 - bits);
  const first = Math.floor(toNumber(address) / size) * size;
  return [first, first + size - 1];
}

/** The IPv4 range of a rule; a rule for IPv6 has none: see `ruleRange6`. */
export const ruleRange = ({ range: [address, bits] }: Rule): Range[] =>
  address.kind() === "ipv4" ? [rangeOf(address.toString(), bits)] : [];

/** In order, without overlap and without neighbours: nft refuses a set whose ranges overlap. */
export function mergeRanges(ranges: Range[]): Range[] {
  const merged: Range[] = [];
  for (const [first, last] of ranges.toSorted((a, b) => a[0] - b[0])) {
    const before = merged.at(-1);
    if (before && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else merged.push([first, last]);
  }
  return merged;
}

/** As elements of an nft set. */
export const elements = (ranges: Range[]): string =>
  mergeRanges(ranges)
    .map(([first, last]) => (first === last ? toAddress(first) : `${toAddress(first)}-${toAddress(last)}`))
    .join(", ");

/**
 * Every IPv4 range that is not the public internet: what ipaddr.js does not call "unicast", so the very ranges that `judge`
 * of policy.ts refuses (IANA's special-purpose registry, RFC 6890; multicast; 6to4 relays; AS112; AMT).
 */
export const specialRanges: Range[] = Object.values(
  (ipaddr.IPv4.prototype as unknown as { SpecialRanges: Record<string, [ipaddr.IPv4, number][]> }).SpecialRanges,
)
  .flat()
  .map(([address, bits]) => rangeOf(address.toString(), bits));
