import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { type Host, processesOn } from "../../tunnel/support/internet.ts";

const tickMs = 1000 / Number(execFileSync("getconf", ["CLK_TCK"]).toString());

/**
 * CPU time, ms, that all processes of these hosts have used so far, but for `without`: the fields utime, stime, and those of children that
 * have ended (proc_pid_stat(5)). What the kernel forwards on the way counts for whoever it interrupted or worked for.
 */
export function cpuMs(hosts: Host[], without: number[]): number {
  let ticks = 0;
  for (const { pid } of hosts.flatMap(processesOn)) {
    if (without.includes(pid)) continue;
    try {
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
