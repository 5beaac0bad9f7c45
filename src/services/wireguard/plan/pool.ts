import { MystError } from "../../../lib/errors.ts";
import { checkIPv4, checkNumber } from "./check.ts";
import { ipv4Max, rangeOf, toAddress, toNumber } from "./ranges.ts";

/** The addresses that an exit gives to its clients. The first of the network is the gateway, the last is its broadcast address. */
export type Pool = {
  /** "10.182.0.0/24" */
  cidr: string;
  bits: number;
  gateway: string;
  /** first and last client */
  first: string;
  last: string;
  /** how many clients fit in */
  size: number;
};

/** A network that few home, office and container networks use; 253 clients. */
export const defaultPool = "10.182.0.0/24";

/**
 * @param cidr a network of /20 (4,093 clients) to /29 (5 clients), in private or shared address space
 * @throws BAD_VALUE where it is none
 */
export function poolOf(cidr: string): Pool {
  const [address = "", bitsText = "", rest] = String(cidr).split("/");
  const bad = (why: string) =>
    new MystError("BAD_VALUE", `'${String(cidr).slice(0, 40)}' cannot be the clients' network: ${why}`, {
      hint: `use a private network from /20 to /29, for example ${defaultPool}`,
    });
  if (rest !== undefined || !/^\d{1,2}$/.test(bitsText)) throw bad("it is not written as network/bits");
  checkIPv4(address);
  const bits = checkNumber("prefix length", Number(bitsText), 20, 29);
  const [first, last] = rangeOf(address, bits);
  if (toAddress(first) !== address) throw bad(`the network begins at ${toAddress(first)}`);
  if (!inside.some(([from, to]) => first >= from && last <= to)) throw bad("it is not private");
  return {
    cidr: `${address}/${bits}`,
    bits,
    gateway: toAddress(first + 1),
    first: toAddress(first + 2),
    last: toAddress(last - 1),
    size: last - first - 2,
  };
}

/** RFC 1918 and RFC 6598 */
const inside = [rangeOf("10.0.0.0", 8), rangeOf("172.16.0.0", 12), rangeOf("192.168.0.0", 16), rangeOf("100.64.0.0", 10)];

/** Every client's address, in order. */
export function poolAddresses({ first, size }: Pool): string[] {
  const start = toNumber(first);
  return Array.from({ length: size }, (_, index) => toAddress(start + index));
}

export const inPool = (pool: Pool, address: string): boolean => {
  const value = toNumber(checkIPv4(address));
  return value >= toNumber(pool.first) && value <= toNumber(pool.last) && value <= ipv4Max;
};

/**
 * The first of the networks 10.182.0.0/24, 10.183.0.0/24, … that overlaps none of the host's own, so that neither loses its way.
 * @param taken networks that the host has a route to, "10.182.0.0/16"
 * @throws BAD_VALUE when all are taken
 */
export function choosePool(taken: string[]): string {
  const used = taken.map((cidr) => rangeOf(cidr.split("/")[0] ?? "", Number(cidr.split("/")[1] ?? 32)));
  for (let second = 182; second < 256; second++) {
    const [first, last] = rangeOf(`10.${second}.0.0`, 24);
    if (!used.some(([from, to]) => from <= last && to >= first)) return `10.${second}.0.0/24`;
  }
  throw new MystError("BAD_VALUE", "this host's routes leave no network for clients between 10.182.0.0 and 10.255.0.0", {
    hint: "name one that is free",
  });
}
