import { existsSync, readFileSync } from "node:fs";
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
  /** the way out of IPv6, where there is a default route and an address that the internet answers to; undefined where not */
  egress6: Egress6 | undefined;
  /** chains of other firewalls that drop what is forwarded and into which we cannot put an accept, "inet firewalld filter_FORWARD" */
  forwardDrops: string[];
  /** a chain that drops what comes in and is not let in, and the ports of UDP that rules of its table name */
  inputDrops?: { chain: string; ports: number[] };
};

/** `near`: networks on this host's cables; `advertised`: the default route comes by router advertisements */
export type Egress6 = { egressIf: string; near: string[]; advertised: boolean };

const routes = z.array(
  z.object({ dst: z.string(), dev: z.string().optional(), gateway: z.string().optional(), metric: z.number().optional() }),
);
const addresses = z.array(
  z.object({ ifname: z.string().optional(), addr_info: z.array(z.object({ local: z.string().optional() })).optional() }),
);
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
  const main6 = hasIpv6() ? await json(routes, "ip", "-6", "-j", "route", "show", "table", "main") : [];
  const way6 = main6
    .filter(({ dst, dev }) => dst === "default" && dev !== undefined)
    .toSorted((a, b) => (a.metric ?? 0) - (b.metric ?? 0))[0]?.dev;
  const isGlobal = (address: string | undefined) => /^[23]/.test(address ?? "") && address?.includes(":");
  const reached = own.some(({ ifname, addr_info = [] }) => ifname === way6 && addr_info.some(({ local }) => isGlobal(local)));
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
    egress6:
      way6 !== undefined && reached
        ? {
            egressIf: way6,
            near: main6.filter(({ dst, gateway }) => dst !== "default" && dst.includes(":") && gateway === undefined).map(({ dst }) => dst),
            advertised: takesAdvertisements(way6),
          }
        : undefined,
    forwardDrops: drops
      .filter(
        ({ hook, policy, family, table }) =>
          hook === "forward" && policy === "drop" && family !== "ip6" && `${family} ${table}` !== "ip filter",
      )
      .filter(({ table }) => !table.startsWith("mystnode"))
      .map(({ family, table, name }) => `${family} ${table} ${name}`),
  };
}

const takesAdvertisements = (ifname: string): boolean => {
  try {
    return readFileSync(`/proc/sys/net/ipv6/conf/${ifname}/accept_ra`, "utf8").trim() === "1";
  } catch {
    return false;
  }
};

/** "udp dport 53", "th dport { 80, 443 }": what a table's rules say of ports, whatever they do about them. */
const portsIn = (text: string): number[] =>
  [...text.matchAll(/(?:udp|th) dport (?:\{([^}]*)\}|(\d+))/g)].flatMap(([, several, one]) =>
    (several ?? one ?? "").split(",").map(Number),
  );
