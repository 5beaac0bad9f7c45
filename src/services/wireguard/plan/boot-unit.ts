import type { ShieldOptions } from "../types.ts";
import { killSwitchPlan } from "./client.ts";

export const bootUnitName = "mystnode-block.service";

/**
 * A systemd unit that closes the machine before its network is set up: the firewall's table of state `down`, and nothing that has to be found, read
 * or run but nft. After nftables.service, whose start flushes all tables.
 * @param nft where that is
 */
export function bootUnit({ nft, ...options }: Pick<ShieldOptions, "lan"> & { nft: string }): string {
  const plan = killSwitchPlan({ ifname: "mystc0", uid: 0, control: [], ipv6: true, options: { ...options, split: [] } }, { state: "down" });
  const lines = plan.nft.trimEnd().split("\n");
  return `[Unit]
Description=Nothing leaves this machine until mystnode has a tunnel
DefaultDependencies=no
After=local-fs.target nftables.service
Before=network-pre.target shutdown.target
Wants=network-pre.target
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=${nft} -f -
StandardInput=data
${lines.map((line) => `StandardInputText=${line.trim().replaceAll("\\", "\\\\").replaceAll("%", "%%")}`).join("\n")}

[Install]
WantedBy=sysinit.target
`;
}
