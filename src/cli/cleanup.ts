import { MystError } from "../lib/errors.ts";
import type { Run } from "./context.ts";
import { needPrivileges } from "./entering.ts";
import { runningNode } from "./hosting.ts";
import { withHelper } from "./tunnels.ts";

/** Takes away what tunnels have left on this machine: interfaces, rules, tables, a kill switch, changed sysctls. */
export const cleanup: Run<"cleanup"> = async ({ settings, out, interrupts }) => {
  needPrivileges("cleaning up", "");
  const running = await runningNode(settings.dataDir, interrupts.signal);
  if (running && (await running.call("status", {}, interrupts.signal)).tunnel)
    throw new MystError("DATA_DIR_LOCKED", "a node with tunnels of its own runs here", {
      hint: "end it first, with Ctrl-C where it runs; it takes away what it made",
    });
  const { removed, failed } = await withHelper((helper) => helper.cleanup());
  out.object({ removed, failed });
  for (const what of removed) out.print(`removed: ${what}`);
  if (removed.length + failed.length === 0) out.print("nothing was left");
  if (failed.length === 0) return;
  for (const what of failed) out.print(`left: ${what}`);
  throw new MystError("TUNNEL_FAILED", "not everything could be taken away", {
    hint: "see what is left with 'nft list ruleset' and 'ip rule'",
  });
};
