import type { Logger } from "../../../lib/ports.ts";
import type { Helper } from "../types.ts";
import { type Calls, startCalls } from "./calls.ts";
import { results } from "./protocol.ts";
import { clientTunnel } from "./remote-client.ts";
import { exitTunnel } from "./remote-exit.ts";

/**
 * Starts the helper as a process of its own, with the rights that we have now: to be called before they are given up. It does nothing
 * before it is asked to, and takes everything back when we end, however that comes about.
 * Its calls throw PRIVILEGE_NEEDED where those rights do not do, TOOL_MISSING naming packages, TUNNEL_FAILED once it has ended.
 */
export async function startHelper({ log }: { log: Logger }): Promise<Helper> {
  const calls: Calls = await startCalls(log);
  return {
    probe: () => calls.ask({ op: "probe" }, results.probe),
    cleanup: () => calls.ask({ op: "cleanup" }, results.cleanup),
    block: async (options) => void (await calls.ask({ op: "blockAll", ...options }, results.done)),
    openExit: (config) => exitTunnel(calls, config),
    openClient: (config) => clientTunnel(calls, config),
    ended: calls.ended,
    stop: calls.stop,
  };
}
