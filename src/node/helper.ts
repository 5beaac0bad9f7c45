import { constants, existsSync, readFileSync } from "node:fs";
import { access } from "node:fs/promises";
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
  /** the interface that IPv6 leaves by, where there is a default route and a public address by it */
  egress6If: string | undefined;
  /** an exit turns it on */
  forwards: boolean;
  /** whether it may */
  mayForward: boolean;
  /** chains of other firewalls that drop what an exit forwards */
  forwardDrops: string[];
  /** a chain that drops what comes in, and the ports that rules of its table name */
  inputDrops?: { chain: string; ports: number[] };
  /** connections that the firewall remembers, and how many it can */
  conntrack?: { count: number; max: number };
  /** bytes that wait for a tunnel's process before the kernel throws away what comes next: as sockets have it here, what it wants, and whether it may */
  receiveBuffer: { bytes: number; wanted: number; mayRaise: boolean };
};

/** @throws TOOL_MISSING, TUNNEL_FAILED */
export async function viewHost(): Promise<HostView> {
  const [{ hostFacts }, { receiveBuffer }] = await Promise.all([
    import("../services/wireguard/host/facts.ts"),
    import("../services/wireguard/plan/host-plan.ts"),
  ]);
  const { egressIf, egress6, forwardDrops, inputDrops } = await hostFacts();
  const count = numberIn("net/netfilter/nf_conntrack_count");
  const max = numberIn("net/netfilter/nf_conntrack_max");
  return {
    egressIf,
    egress6If: egress6?.egressIf,
    forwardDrops,
    ...(inputDrops && { inputDrops }),
    forwards: numberIn("net/ipv4/ip_forward") === 1,
    mayForward: await mayWrite("net/ipv4/ip_forward"),
    receiveBuffer: {
      bytes: numberIn(receiveBuffer.key) ?? 0,
      wanted: Number(receiveBuffer.value),
      mayRaise: await mayWrite(receiveBuffer.key),
    },
    ...(count !== undefined && max !== undefined && { conntrack: { count, max } }),
  };
}

const mayWrite = (key: string): Promise<boolean> =>
  access(`/proc/sys/${key}`, constants.W_OK).then(
    () => true,
    () => false,
  );

/** Whether this kernel takes what an exit sets up; nothing of the machine's changes. @throws TOOL_MISSING */
export async function viewTrial(): Promise<{ part: "firewall" | "speed limits"; problem?: string }[]> {
  const { tryExit } = await import("../services/wireguard/host/trial.ts");
  return tryExit();
}

function numberIn(key: string): number | undefined {
  try {
    return Number(readFileSync(`/proc/sys/${key}`, "utf8"));
  } catch {
    return undefined;
  }
}
