import type { Sysctl } from "../plan/host-plan.ts";
import type { HostState } from "./state-file.ts";
import type { SysctlAccess } from "./tools.ts";

type Recorded = HostState["sysctls"];

/**
 * What is to be written back: what an earlier plan has recorded, and the present values of what this one is about to change.
 * Writing net.ipv4.ip_forward also sets forwarding of each interface and conf.all.accept_redirects (inet_forward_change in the
 * kernel), in both directions, so these are recorded beside it and restored after it. With IPv6 it is conf.all.forwarding that does so (addrconf_fixup_forwarding).
 */
export function recordSysctls(sysctl: SysctlAccess, wanted: Sysctl[], before: Recorded): Recorded {
  const known = new Set(before.map(({ key }) => key));
  const added = wanted.filter(({ key, value }) => !known.has(key) && sysctl.read(key) !== value);
  return [...before, ...added.flatMap(({ key, value }) => record(sysctl, key, value))];
}

function record(sysctl: SysctlAccess, key: string, ours: string): Recorded {
  const present = (name: string): Recorded => {
    const old = sysctl.read(name);
    return old === undefined ? [] : [{ key: name, old }];
  };
  const self = present(key).map((one) => ({ ...one, ours }));
  const family = key === "net/ipv4/ip_forward" ? "ipv4" : key === "net/ipv6/conf/all/forwarding" ? "ipv6" : undefined;
  if (!family) return self;
  const interfaces = sysctl.list(`net/${family}/conf`).filter((name) => name !== "all");
  return [
    ...self,
    ...(family === "ipv4" ? present("net/ipv4/conf/all/accept_redirects") : []),
    ...interfaces.flatMap((name) => present(`net/${family}/conf/${name}/forwarding`)),
  ];
}

/** In order. What somebody else has changed since stays, and so does what followed from it. */
export function restoreSysctls(sysctl: SysctlAccess, recorded: Recorded, failed: (key: string, error: unknown) => void): void {
  let ours = true;
  for (const { key, old, ours: value } of recorded) {
    const now = sysctl.read(key);
    if (value !== undefined) ours = now === value;
    if (!ours || now === undefined || now === old) continue;
    try {
      sysctl.write(key, old);
    } catch (error) {
      failed(key, error);
    }
  }
}
