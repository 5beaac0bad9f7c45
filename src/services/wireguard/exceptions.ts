import { isIPv4 } from "node:net";
import ipaddr from "ipaddr.js";
import { MystError } from "../../lib/errors.ts";
import type { ShieldOptions } from "./types.ts";

/**
 * What counts as the local network: private, link-local and multicast addresses, and no others, whatever a network says is local to it. One
 * that hands out public addresses could else have what is meant for these sent to itself (TunnelCrack's LocalNet).
 */
export const lan4 = "{ 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16, 224.0.0.0/24, 239.0.0.0/8, 255.255.255.255 }";
export const lan6 = "{ fe80::/10, fc00::/7, ff02::/16 }";

/** as good as everything is not beside the tunnel but instead of it */
const widest = 8;

/** Options of the shield, checked and in the form that goes into a plan. */
export type Exceptions = { lan: boolean; split: string[]; dns?: string };

/** "192.0.2.0/24" or "192.0.2.7" */
const partsOf = (text: string): [address: string, bits: number] | undefined => {
  const [, address = "", bits = "32"] = /^([\d.]{7,15})(?:\/(\d{1,2}))?$/.exec(text) ?? [];
  return isIPv4(address) && Number(bits) <= 32 ? [address, Number(bits)] : undefined;
};
export const isNetwork = (text: string): boolean => partsOf(text) !== undefined;

/** @throws BAD_VALUE for a network that is none or nearly everything, and for a resolver that is not reached through an exit */
export function exceptionsOf({ lan, split, dns }: Pick<ShieldOptions, "lan" | "split" | "dns">): Exceptions {
  return { lan: lan === true, split: [...new Set(split.map(checkNetwork))], ...(dns !== undefined && { dns: checkResolver(dns) }) };
}

function checkNetwork(text: string): string {
  const parts = partsOf(text);
  if (!parts)
    throw new MystError("BAD_VALUE", `'${text.slice(0, 40)}' is no IPv4 network`, {
      hint: "write it like 192.0.2.0/24; IPv6 does not leave this machine beside a tunnel",
    });
  const [address, bits] = parts;
  if (bits < widest || ipaddr.parse(address).range() === "loopback")
    throw new MystError("BAD_VALUE", `${text} cannot be kept out of the tunnel`, {
      hint: `name networks of at most /${widest}, or leave out the tunnel`,
    });
  return `${ipaddr.IPv4.networkAddressFromCIDR(`${address}/${bits}`)}/${bits}`;
}

function checkResolver(text: string): string {
  if (!isIPv4(text))
    throw new MystError("BAD_VALUE", `'${text.slice(0, 40)}' is no resolver's IPv4 address`, { hint: "write it like 9.9.9.9" });
  if (ipaddr.parse(text).range() !== "unicast")
    throw new MystError("BAD_VALUE", `${text} is not on the internet, so no exit reaches it`, {
      hint: "a resolver in the local network would see what you look up, outside of the tunnel; name a public one",
    });
  return text;
}
