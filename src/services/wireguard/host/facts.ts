import { existsSync } from "node:fs";
import { z } from "zod";
import { MystError } from "../../../lib/errors.ts";
import { type Run, tools } from "./tools.ts";

/** What plans have to know of the host they are for. */
export type HostFacts = {
  /** the interface of the IPv4 default route; undefined where there is none */
  egressIf: string | undefined;
  /** the host's own addresses, of both families */
  own: string[];
  /** IPv4 networks that it has a route to, "10.0.0.0/8", without the default */
  networks: string[];
  /** whether the kernel has IPv6 at all */
  ipv6: boolean;
  /** chains of other firewalls that drop what is forwarded and into which we cannot put an accept, "inet firewalld filter_FORWARD" */
  forwardDrops: string[];
  /** a chain that drops what comes in and is not let in, and the ports of UDP that rules of its table name */
  inputDrops?: { chain: string; ports: number[] };
};

const routes = z.array(z.object({ dst: z.string(), dev: z.string().optional(), metric: z.number().optional() }));
const addresses = z.array(z.object({ addr_info: z.array(z.object({ local: z.string().optional() })).optional() }));
const chains = z.object({
  nftables: z.array(
    z.object({
      chain: z
        .object({ family: z.string(), table: z.string(), name: z.string(), hook: z.string().optional(), policy: z.string().optional() })
        .optional(),
    }),
  ),
});

/** Whether the kernel has IPv6 at all. */
export const hasIpv6 = (): boolean => existsSync("/proc/sys/net/ipv6");

/** @throws TOOL_MISSING where `ip` or `nft` is */
export async function hostFacts(run?: Run): Promise<HostFacts> {
  const tool = tools(run);
  const json = async <T>(schema: z.ZodType<T>, name: string, ...args: string[]): Promise<T> => {
    const text = await tool.print(name, ...args);
    try {
      return schema.parse(JSON.parse(text || "[]"));
    } catch (cause) {
      throw new MystError("TUNNEL_FAILED", `'${name} ${args.join(" ")}' said what is not understood`, { cause });
    }
  };
  const main = await json(routes, "ip", "-4", "-j", "route", "show", "table", "main");
  const defaults = main.filter(({ dst, dev }) => dst === "default" && dev !== undefined);
  const own = await json(addresses, "ip", "-j", "addr", "show");
  const listed = await json(z.union([chains, z.tuple([])]), "nft", "-j", "list", "chains");
  const drops = "nftables" in listed ? listed.nftables.flatMap(({ chain }) => (chain ? [chain] : [])) : [];
  const input = drops.find(
    ({ hook, policy, family, table }) => hook === "input" && policy === "drop" && family !== "ip6" && !table.startsWith("mystnode"),
  );
  const named = input ? await tool.print("nft", "list", "table", input.family, input.table) : "";
  return {
    ...(input && { inputDrops: { chain: `${input.family} ${input.table} ${input.name}`, ports: portsIn(named) } }),
    egressIf: defaults.toSorted((a, b) => (a.metric ?? 0) - (b.metric ?? 0))[0]?.dev,
    own: own.flatMap(({ addr_info = [] }) => addr_info.flatMap(({ local }) => local ?? [])),
    networks: main.filter(({ dst }) => dst !== "default").map(({ dst }) => (dst.includes("/") ? dst : `${dst}/32`)),
    ipv6: hasIpv6(),
    forwardDrops: drops
      .filter(
        ({ hook, policy, family, table }) =>
          hook === "forward" && policy === "drop" && family !== "ip6" && `${family} ${table}` !== "ip filter",
      )
      .filter(({ table }) => !table.startsWith("mystnode"))
      .map(({ family, table, name }) => `${family} ${table} ${name}`),
  };
}

/** "udp dport 53", "th dport { 80, 443 }": what a table's rules say of ports, whatever they do about them. */
const portsIn = (text: string): number[] =>
  [...text.matchAll(/(?:udp|th) dport (?:\{([^}]*)\}|(\d+))/g)].flatMap(([, several, one]) =>
    (several ?? one ?? "").split(",").map(Number),
  );
