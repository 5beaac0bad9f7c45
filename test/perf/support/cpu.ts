import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { Host } from "../../tunnel/support/internet.ts";

const tickMs = 1000 / Number(execFileSync("getconf", ["CLK_TCK"]).toString());

/**
 * CPU time, ms, that all processes of these hosts have used so far, but for `without`: the fields utime, stime, and those of children that
 * have ended (proc_pid_stat(5)). What the kernel forwards on the way counts for whoever it interrupted or worked for.
 */
export function cpuMs(hosts: Host[], without: number[]): number {
  const names = new Set(hosts.map(({ name }) => name));
  const inodes = new Map([...names].map((name) => [inodeOf(name), name]));
  let ticks = 0;
  for (const pid of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry) && !without.includes(Number(entry)))) {
    try {
      if (!inodes.has(readlinkSync(`/proc/${pid}/ns/net`))) continue;
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
        .replace(/^.*\) /s, "")
        .split(" ");
      // the third field of the manual is the first here
      for (const at of [11, 12, 13, 14]) ticks += Number(fields[at]);
    } catch {
      // it has ended
    }
  }
  return ticks * tickMs;
}

const inodeOf = (name: string): string =>
  `net:[${execFileSync("stat", ["-c", "%i", `/run/netns/${name}`])
    .toString()
    .trim()}]`;
