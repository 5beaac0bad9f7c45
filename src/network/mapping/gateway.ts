import { readFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import ipaddr from "ipaddr.js";

/** The router that leads out of the local network, and our own address in that; both IPv4. */
export type Lan = { gateway: string; address: string };

/** Of /proc/net/route: the route is up, and by a gateway. */
const upByGateway = 0x3;

/** The default route's gateway and interface, of those with the lowest metric, in the text of /proc/net/route; undefined where there is none. */
export function defaultRoute(table: string): { gateway: string; ifname: string } | undefined {
  const routes = table.split("\n").flatMap((line) => {
    const [ifname = "", destination = "", gateway = "", flags = "", , , metric = "", mask = ""] = line.split("\t");
    if (destination !== "00000000" || mask !== "00000000" || !/^[0-9A-F]{8}$/.test(gateway)) return [];
    if ((Number.parseInt(flags, 16) & upByGateway) !== upByGateway) return [];
    // in the order of the machine's bytes; those that Node runs on are little-endian
    const address = [...Buffer.from(gateway, "hex")].reverse().join(".");
    return [{ gateway: address, ifname, metric: Number(metric) }];
  });
  const [best] = routes.sort((a, b) => a.metric - b.metric);
  return best && { gateway: best.gateway, ifname: best.ifname };
}

/** Where this machine's default route leads, on Linux; undefined elsewhere, and where no gateway is in a network that we have an address in. */
export async function findLan(): Promise<Lan | undefined> {
  const route = defaultRoute(await readFile("/proc/net/route", "utf8").catch(() => ""));
  if (!route) return undefined;
  const gateway = ipaddr.parse(route.gateway);
  const own = (networkInterfaces()[route.ifname] ?? []).find(
    ({ family, cidr }) => family === "IPv4" && cidr !== null && gateway.match(ipaddr.parseCIDR(cidr)),
  );
  return own && { gateway: route.gateway, address: own.address };
}
