import type { Logger } from "../lib/ports.ts";
import type { Helper } from "../services/wireguard/types.ts";

/** Starts the privileged helper: first of all, while this process is small and may still do so. @throws PRIVILEGE_NEEDED, TUNNEL_FAILED */
export async function startTunnelHelper({ log }: { log: Logger }): Promise<Helper> {
  const { startHelper } = await import("../services/wireguard/helper/start.ts");
  return startHelper({ log });
}
