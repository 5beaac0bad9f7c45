import { existsSync, readFileSync } from "node:fs";
import type { Logger } from "../lib/ports.ts";
import type { Helper } from "../services/wireguard/types.ts";

/** Starts the privileged helper: first of all, while this process is small and may still do so. @throws PRIVILEGE_NEEDED, TUNNEL_FAILED */
export async function startTunnelHelper({ log }: { log: Logger }): Promise<Helper> {
  const { startHelper } = await import("../services/wireguard/helper/start.ts");
  return startHelper({ log });
}

/** Whether a client's kill switch stands on this machine, whoever looks after it. Needs no privileges. */
export async function killSwitchStands(): Promise<boolean> {
  if (process.platform !== "linux") return false;
  const [{ statePath }, { stateDirectory }] = await Promise.all([
    import("../services/wireguard/host/state-file.ts"),
    import("../services/wireguard/helper/facts.ts"),
  ]);
  return existsSync(statePath(stateDirectory(), "client"));
}

/** The systemd unit that keeps everything in from a machine's start on: its file's name, and its text. */
export async function unitForBoot(options: { lan: boolean }): Promise<{ name: string; text: string }> {
  const [{ bootUnit, bootUnitName }, { toolPath }] = await Promise.all([
    import("../services/wireguard/plan/boot-unit.ts"),
    import("../services/wireguard/backend/run-tool.ts"),
  ]);
  const nft = toolPath.split(":").map((directory) => `${directory}/nft`);
  return { name: bootUnitName, text: bootUnit({ ...options, nft: nft.find((path) => existsSync(path)) ?? "/usr/sbin/nft" }) };
}

/** What a tunnel meets on this host. */
export type HostView = {
  /** the interface of the default route */
  egressIf: string | undefined;
  /** an exit turns it on */
  forwards: boolean;
  /** chains of other firewalls that drop what an exit forwards */
  forwardDrops: string[];
};

/** @throws TOOL_MISSING, TUNNEL_FAILED */
export async function viewHost(): Promise<HostView> {
  const { hostFacts } = await import("../services/wireguard/host/facts.ts");
  const { egressIf, forwardDrops } = await hostFacts();
  return { egressIf, forwardDrops, forwards: readFileSync("/proc/sys/net/ipv4/ip_forward", "utf8").trim() === "1" };
}
