import { MystError } from "../../lib/errors.ts";
import type { Lan } from "./gateway.ts";
import { openPmp } from "./pmp.ts";

/** `port`: of ours; `outside`: the router's, which it may choose itself. */
export type Mapped = { protocol: "tcp" | "udp"; port: number; outside: number };

/** `outside`: what would be best */
export type Wanted = Mapped & { leaseMs: number };

/** What a router does for those behind it. Each call is bounded in time by its signal, and in what is read of the answer. */
export type Router = {
  by: "nat-pmp" | "upnp";
  /** its own IPv4 address outside, as it says. @throws PEER_TIMEOUT, PEER_REFUSED, MALFORMED */
  externalAddress(signal: AbortSignal): Promise<string>;
  /** Has it forward a port of its own to ours, for `leaseMs` or, where it does not do that, for ever. @throws the same */
  map(wanted: Wanted, signal: AbortSignal): Promise<Mapped>;
  unmap(mapped: Mapped, signal: AbortSignal): Promise<void>;
};

/** where they listen, and how soon they are asked again at first: a router of one's own answers within some ms. Only tests change it */
export type Asking = { pmp: number; ssdp: number; againMs: number };
const standard: Asking = { pmp: 5351, ssdp: 1900, againMs: 250 };

/** How the gateway maps ports: by whichever of both it answers to first. Nobody else is listened to. @throws PEER_REFUSED when it does neither */
export async function findRouter(lan: Lan, signal: AbortSignal, asking = standard): Promise<Router> {
  const over = new AbortController();
  const until = AbortSignal.any([signal, over.signal]);
  const pmp = async () => {
    const router = openPmp(lan, asking);
    await router.externalAddress(until);
    return router;
  };
  const upnp = async () => {
    const { openUpnp } = await import("./upnp.ts");
    return openUpnp(lan, until, asking);
  };
  try {
    return await Promise.any([pmp(), upnp()]);
  } catch (cause) {
    throw new MystError("PEER_REFUSED", `the router ${lan.gateway} maps no ports, neither by NAT-PMP nor by UPnP`, { cause });
  } finally {
    over.abort();
  }
}
