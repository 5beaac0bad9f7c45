import { MystError } from "../lib/errors.ts";
import type { ServeService, ServiceKind } from "../node/types.ts";

export type SoldKind = ServeService["kind"];

/**
 * What to sell: what was asked for, else a tunnel where this process may open one, else the proxy. Empty: help the network only.
 * @throws USAGE
 */
export function servicesToSell(wanted: readonly (SoldKind | "none")[], mayTunnel: boolean): SoldKind[] {
  if (wanted.includes("none") && wanted.length > 1)
    throw new MystError("USAGE", "--service none sells nothing, so it stands alone", { hint: "leave out 'none', or the others" });
  const kinds = wanted.filter((kind) => kind !== "none");
  if (wanted.length === 0) return [mayTunnel ? "wireguard" : "proxy"];
  return [...new Set(kinds)];
}

/** What to go out by: the same, for a node of our own. */
export const serviceToUse = (wanted: ServiceKind | undefined, mayTunnel: boolean): ServiceKind =>
  wanted ?? (mayTunnel ? "wireguard" : "proxy");

/** Why it is the one that it is, when nobody has asked for it. */
export const defaultText = (kind: SoldKind): string =>
  kind === "wireguard"
    ? "service: wireguard, for this is root; --service proxy needs no privileges"
    : "service: proxy; as root it would be wireguard, for all traffic";
