import { asMystError, MystError } from "../../lib/errors.ts";
import type { Place } from "../nat.ts";
import type { TunnelOffer } from "./handshake.ts";
import type { TunnelLeg, WgKey } from "./types.ts";

/**
 * Brings a tunnel up to an exit at `to`. `punch`: it may be behind NAT, so it is knocked at again and again, for half as long, and may answer from
 * another port.
 * @throws TUNNEL_FAILED; with `punch` PEER_TIMEOUT where nobody answers
 */
export async function bringUp(mine: TunnelLeg, offer: TunnelOffer, to: Place, presharedKey?: WgKey, punch = false): Promise<void> {
  const { publicKey, address, address6, dns, mtu } = offer;
  const exit = { publicKey, ...(presharedKey !== undefined && { presharedKey }), endpoint: { ...to, protocol: "udp" as const } };
  try {
    await mine.up({ ...exit, address, ...(address6 !== undefined && { address6 }), dns, mtu, ...(punch && { punch }) });
  } catch (error) {
    if (punch) throw error;
    const { message, code } = asMystError(error);
    if (code !== "PEER_TIMEOUT") throw error;
    throw new MystError("TUNNEL_FAILED", `the exit's tunnel did not answer at ${hostPort(to.address, to.port)}: ${message}`, {
      hint: "UDP may be blocked on the way: try another exit, or --service proxy",
      cause: error,
    });
  }
}

export const hostPort = (address: string, port: number): string => (address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`);
