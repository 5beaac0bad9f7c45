import { asMystError, MystError } from "../../../lib/errors.ts";
import type { Shaping } from "../plan/shaping.ts";
import type { Look } from "./seen.ts";
import type { Tools } from "./tools.ts";

/**
 * Makes the queues anew, whatever there is on the devices. They go with their devices.
 * @throws TOOL_MISSING, TUNNEL_FAILED
 */
export async function applyShaping(tool: Tools, { devices, from, lines }: Shaping): Promise<void> {
  await tool.tcAnyway([...devices.map((device) => `qdisc del dev ${device} root`), `qdisc del dev ${from} ingress`]);
  try {
    await tool.tc(lines);
  } catch (error) {
    const { code, message } = asMystError(error);
    if (code !== "TUNNEL_FAILED") throw error;
    throw new MystError("TUNNEL_FAILED", message, {
      hint: "a speed limit needs the kernel's HTB: 'modprobe -a sch_htb cls_u32 act_mirred ifb', or serve without a limit",
      cause: error,
    });
  }
}

/** How the queues look now; nothing where there are none to be. */
export async function seenShaping(tool: Pick<Tools, "tc">, shaping: Shaping | undefined): Promise<Pick<Look, "the speed limits">> {
  if (!shaping) return {};
  const { devices, from } = shaping;
  const lines = [
    ...devices.flatMap((device) => [`class show dev ${device}`, `filter show dev ${device}`]),
    `filter show dev ${from} ingress`,
  ];
  return { "the speed limits": await tool.tc(lines).catch(() => "") };
}
