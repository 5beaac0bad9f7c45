import { execFileSync } from "node:child_process";
import { z } from "zod";
import type { Host } from "./internet.ts";

/** Packets of one kind that came from a host: "45.3.0.2 tcp 80"; of what has no ports, and of IPv6, "2a10:3::2 udp". */
export type Seen = { what: string; packets: number; bytes: number };
export type Capture = Disposable & {
  /** since the start, or since `clear` */
  seen(): Seen[];
  clear(): void;
};

const value = z.union([z.string(), z.number()]);
const listing = z.object({
  nftables: z.array(
    z.object({
      set: z
        .object({
          elem: z
            .array(
              z.object({
                elem: z.object({
                  val: z.object({ concat: z.array(value) }),
                  counter: z.object({ packets: z.number(), bytes: z.number() }),
                }),
              }),
            )
            .default([]),
        })
        .optional(),
    }),
  ),
});

/**
 * What the router takes off the cable of a host, packet by packet and before anything else looks at it: sets that fill themselves. The
 * search for the neighbour's address (ARP, NDP) does not count.
 */
export function startCapture({ cable }: Host): Capture {
  const table = `capture_${cable}`;
  const set = (name: string, type: string) => `set ${name} { type ${type}; flags dynamic; size 65535; counter; }`;
  const nft = (input: string) => execFileSync("nft", ["-f", "-"], { input, stdio: ["pipe", "pipe", "pipe"] });
  const clear = () =>
    nft(`add table netdev ${table}
delete table netdev ${table}
table netdev ${table} {
  ${set("v4", "ipv4_addr . inet_proto . inet_service")}
  ${set("other4", "ipv4_addr . inet_proto")}
  ${set("v6", "ipv6_addr . inet_proto")}
  chain in {
    type filter hook ingress device "${cable}" priority -500; policy accept;
    meta protocol ip meta l4proto { tcp, udp } update @v4 { ip daddr . meta l4proto . th dport } return
    meta protocol ip update @other4 { ip daddr . meta l4proto } return
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit } return
    meta protocol ip6 update @v6 { ip6 daddr . meta l4proto }
  }
}
`);
  const read = (name: string): Seen[] => {
    const text = execFileSync("nft", ["-j", "list", "set", "netdev", table, name], { stdio: ["ignore", "pipe", "pipe"] }).toString();
    const sets = listing.parse(JSON.parse(text)).nftables;
    return sets.flatMap(({ set: one }) => (one?.elem ?? []).map(({ elem }) => ({ what: elem.val.concat.join(" "), ...elem.counter })));
  };
  clear();
  return {
    clear,
    seen: () => ["v4", "other4", "v6"].flatMap(read),
    [Symbol.dispose]: () => void nft(`delete table netdev ${table}\n`),
  };
}
