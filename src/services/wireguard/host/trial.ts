import { asMystError } from "../../../lib/errors.ts";
import { runTool } from "../backend/run-tool.ts";
import { exitPlan } from "../plan/exit.ts";
import { dnsPort, pathPort } from "../types.ts";
import type { Run } from "./tools.ts";

/** Whether this kernel takes what an exit would set up; `problem`: what it said, where it does not. */
export type Trial = { part: "firewall" | "speed limits"; problem?: string };

/** its own are of no interest: nothing is in there */
const facts = {
  ifname: "mystn0",
  pool: "10.182.0.0/29",
  mtu: 1280,
  egressIf: "lo",
  dnsPort,
  pathPort,
  own: [],
  allow: [],
  block: [],
  flowLimit: 100,
};

/**
 * Sets up an exit's firewall and its queues in a network namespace that is there for this alone, so that nothing of the machine's changes.
 * @throws TOOL_MISSING
 */
export async function tryExit(run: Run = runTool): Promise<Trial[]> {
  const { nft, steps, shaping } = exitPlan({ ...facts, speed: { perClient: 1e8, whole: 1e9 } });
  // the interface's place is taken by another, for its own kind is tried by itself
  const devices = ["link add dev mystn0 type veth peer name mystn9", ...steps.map(({ add }) => add)].map((line) => `ip ${line}`);
  const inside = async (part: Trial["part"], script: string, input: string): Promise<Trial> => {
    try {
      await run("unshare", ["--net", "sh", "-ec", script], { input });
      return { part };
    } catch (error) {
      const { code, message } = asMystError(error);
      if (code === "TOOL_MISSING") throw error;
      return { part, problem: message.replace(/^unshare failed \([^)]*\): /, "") };
    }
  };
  return [
    await inside("firewall", "cat | nft -f -", nft),
    await inside("speed limits", `${devices.join("; ")}; cat | tc -batch -`, `${shaping?.lines.join("\n")}\n`),
  ];
}
