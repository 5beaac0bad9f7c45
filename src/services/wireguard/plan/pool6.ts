import { MystError } from "../../../lib/errors.ts";
import { isUniqueLocal } from "../unique-local.ts";
import { checkIPv4 } from "./check.ts";
import type { Pool } from "./pool.ts";
import { toNumber } from "./ranges.ts";
import { toAddress6, toNumber6 } from "./ranges6.ts";

/** The IPv6 addresses that stand beside those of a pool, one for each, all within one /64 of the exit's own. */
export type Pool6 = {
  /** "fd12:3456:789a:1::/64" */
  cidr: string;
  gateway: string;
  /** first and last client */
  first: string;
  last: string;
};

/** As RFC 4193 has it, from seven random bytes: what an exit calls its own is no other network's that a client has a way to. */
export const prefixOf = (random: Uint8Array): string =>
  toAddress6([0xfd, ...random.slice(0, 7)].reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n) << 64n);

/** Of a client or the gateway: the last four bytes are its IPv4 address. */
export const address6Of = (prefix: string, address: string): string =>
  toAddress6(toNumber6(checkUla(prefix)) + BigInt(toNumber(checkIPv4(address))));

export function pool6Of(prefix: string, { gateway, first, last }: Pool): Pool6 {
  const of = (address: string) => address6Of(prefix, address);
  return { cidr: `${checkUla(prefix)}/64`, gateway: of(gateway), first: of(first), last: of(last) };
}

/** @throws BAD_VALUE unless it is a unique local address: none that is anybody's on the internet, or this very machine's */
export function checkUla(address: string): string {
  if (!isUniqueLocal(String(address)))
    throw new MystError("BAD_VALUE", `'${String(address).slice(0, 45)}' is no unique local IPv6 address`, { hint: "it begins with fd" });
  return toAddress6(toNumber6(address));
}
