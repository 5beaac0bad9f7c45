import { type Pool, poolAddresses } from "./pool.ts";
import { address6Of } from "./pool6.ts";

/**
 * Each client's credit is an nft quota of the exit's table, so it holds whatever becomes of our processes. All are made with the table
 * and begin at nothing: nobody passes before credit is given.
 *
 * A quota counts inner IP packets, credit is in bytes as WireGuard counts them: a packet of n bytes is padded to 16 and gets 32 bytes of
 * header and tag, w(n) = 16 * ceil(n / 16) + 32. So small packets pass the quota more than once:
 *   n <= 36 three times:        3n >= w(n) / 1.07    (n = 20: 60 for 64)
 *   37 <= n <= 469 twice:       2n >= w(n) / 1.09    (n = 37: 74 for 80)
 *   n >= 470 once:               n >= w(n) / 1.10    (n = 481: 481 for 528; n = 1280: 1280 for 1312)
 * What is forwarded on a quota that nobody raises is at most 1.10 times that quota, in WireGuard's bytes. Where the kernel hands on several
 * TCP segments as one packet (GRO, GSO) their headers count once: 1228 for 1312 at an MTU of 1280, a factor of 1.07. In the other
 * direction a packet is charged up to 1.9 times its bytes (n = 464: 928 for 496); whoever raises the quota by what is really left, at every
 * tick, takes that back.
 */
export const smallPackets: number[] = [469, 36];

/** Names of the maps from address to quota, of which both families have the same. */
export const creditMap = "credit";
const creditMap6 = "credit6";

/** Name of the quota of a client's address: "q_10_182_0_2". */
export const quotaName = (address: string): string => `q_${address.replaceAll(".", "_")}`;

/** What the quotas and their maps look like inside the table. `prefix6`: of the clients' IPv6 addresses, where they have some. */
export function creditDefinitions(pool: Pool, prefix6?: string): string[] {
  const addresses = poolAddresses(pool);
  return [
    ...addresses.map((address) => `  quota ${quotaName(address)} { over 0 bytes; }`),
    `  map ${creditMap} {`,
    "    type ipv4_addr : quota",
    `    elements = { ${addresses.map((address) => `${address} : "${quotaName(address)}"`).join(", ")} }`,
    "  }",
    ...(prefix6 === undefined
      ? []
      : [
          `  map ${creditMap6} {`,
          "    type ipv6_addr : quota",
          `    elements = { ${addresses.map((address) => `${address6Of(prefix6, address)} : "${quotaName(address)}"`).join(", ")} }`,
          "  }",
        ]),
  ];
}

/** The rules that charge a packet to the client whose address is its `saddr` or `daddr`, and drop it when nothing is left. They end their chain. */
export function creditRules(field: "saddr" | "daddr", ipv6 = false): string[] {
  const charge = [`quota name ip ${field} map @${creditMap} drop`, ...(ipv6 ? [`quota name ip6 ${field} map @${creditMap6} drop`] : [])];
  return [...charge, ...smallPackets.flatMap((bytes) => [`meta length > ${bytes} accept`, ...charge])];
}
