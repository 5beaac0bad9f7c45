import { probeBackends } from "../backend/choose.ts";
import { runTool, toolMissing } from "../backend/run-tool.ts";
import { killSwitchTable } from "../plan/host-plan.ts";
import type { HelperProbe } from "../types.ts";
import { mayConfigure } from "./facts.ts";

/** Works without any rights, as far as one can see without. */
export async function probe(clientIsOpen: boolean): Promise<HelperProbe> {
  const backends = await probeBackends();
  const chosen = backends.find(({ ok }) => ok)?.kind;
  const problems: string[] = [];
  const rights = mayConfigure();
  if (!rights) problems.push("no right to configure this machine's network: run as root (sudo)");
  if (!chosen && rights)
    problems.push("nothing here carries WireGuard: install wireguard-go, or a kernel with WireGuard and wireguard-tools");
  const tools: [string, string[]][] = [
    ["ip", ["-V"]],
    ["nft", ["--version"]],
    ["conntrack", ["--version"]],
  ];
  const missing = await Promise.all(
    tools.map(async ([tool, args]) => {
      try {
        await runTool(tool, args);
        return [];
      } catch {
        return [tool];
      }
    }),
  );
  const names = missing.flat();
  if (names.length > 0) {
    const { message, hint } = toolMissing(...names);
    problems.push(`${message}: ${hint}`);
  }
  return { backends, ...(chosen && { chosen }), problems, blocked: rights && !clientIsOpen && (await killSwitchStands()) };
}

const killSwitchStands = () =>
  runTool("nft", ["-t", "list", "table", "inet", killSwitchTable]).then(
    () => true,
    () => false,
  );
