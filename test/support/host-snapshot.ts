import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

/** What of a machine a run must not change, each as text that is equal when nothing has changed. */
export type HostSnapshot = Record<string, string>;

const commands: Record<string, string> = {
  links: "ip link",
  addresses: "ip address | grep -v valid_lft",
  rules: "ip rule; ip -6 rule",
  routes: "ip route show table all; ip -6 route show table all | sed 's/expires [0-9]*sec//'",
  tables: "nft list ruleset",
  namespaces: "ls /run/netns 2>/dev/null || :",
  run: "find /run -xdev | sort",
  // the rest of /proc/sys is about the machine as a whole
  sysctls: "grep -rs . /proc/sys/net | grep -v -e nf_conntrack_count -e /route/ -e inet_peer | sort",
};

/** Takes Linux, and root for all of it. */
export const hostSnapshot = (): HostSnapshot => ({
  ...Object.fromEntries(
    Object.entries(commands).map(([name, command]) => [
      name,
      execFileSync("sh", ["-c", command], { encoding: "utf8", maxBuffer: 1 << 26, stdio: ["ignore", "pipe", "ignore"] }),
    ]),
  ),
  mounts: readFileSync("/proc/self/mountinfo", "utf8"),
});

/** The names of what differs, with the first line that does. */
export function differences(before: HostSnapshot, after: HostSnapshot): string[] {
  return Object.keys(before).flatMap((name) => {
    const [was, is] = [before[name] ?? "", after[name] ?? ""].map((text) => text.split("\n"));
    const gone = was?.find((line) => !is?.includes(line));
    const come = is?.find((line) => !was?.includes(line));
    return gone === undefined && come === undefined ? [] : [`${name}: '${gone ?? ""}' became '${come ?? ""}'`];
  });
}

export type ProcessEntry = { pid: number; parent: number; began: string; command: string };

/** Every process there is, in whichever PID namespace below ours. */
export const allProcesses = (): ProcessEntry[] =>
  readdirSync("/proc").flatMap((name) => {
    try {
      const stat = readFileSync(`/proc/${Number(name)}/stat`, "utf8");
      const [state, parent = "", , , , , , , , , , , , , , , , , , began = ""] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (state === "Z" || state === "X") return [];
      const command = readFileSync(`/proc/${Number(name)}/cmdline`, "utf8")
        .replaceAll("\0", " ")
        .trim();
      return [{ pid: Number(name), parent: Number(parent), began, command }];
    } catch {
      return [];
    }
  });

/** All that descends from a process, and itself. */
export function family(root: number, all = allProcesses()): ProcessEntry[] {
  const found = all.filter(({ pid }) => pid === root);
  for (const one of found) found.push(...all.filter(({ parent, pid }) => parent === one.pid && pid !== one.pid));
  return found;
}

/** Those of them that still live, as the same processes. */
export function alive(processes: readonly ProcessEntry[]): ProcessEntry[] {
  const now = new Map(allProcesses().map((one) => [one.pid, one.began]));
  return processes.filter(({ pid, began }) => now.get(pid) === began);
}
