import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { promisify } from "node:util";
import { z } from "zod";

/**
 * A process number alone proves nothing: numbers are used again. With the time the process began it names one process for good, so
 * what a pid file names may be ended if, and only if, both still agree.
 */
const markSchema = z.object({ pid: z.number().int().positive(), began: z.string().min(1) });
type Mark = z.output<typeof markSchema>;

const runFile = promisify(execFile);

/** When the process began, as text that no later process of the same number repeats; undefined when there is none (or only its remains). */
async function beganAt(pid: number): Promise<string | undefined> {
  if (process.platform === "linux") {
    try {
      // proc_pid_stat(5): the command in brackets may hold anything, so count from the last bracket: state is field 3, starttime 22
      const text = readFileSync(`/proc/${pid}/stat`, "utf8");
      const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
      if (fields[0] === "Z" || fields[0] === "X") return undefined;
      // a number means one process in one PID namespace only
      const space = readlinkSync("/proc/self/ns/pid");
      return `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()}/${space}/${fields[19]}`;
    } catch {
      return undefined;
    }
  }
  const { stdout } = await runFile("ps", ["-o", "lstart=", "-p", String(pid)]).catch(() => ({ stdout: "" }));
  return stdout.trim() || undefined;
}

/** Notes which process `file` stands for. Called in the same turn as the spawn, so that nothing of ours is ever unnoted. */
export function writePidFile(file: string, pid: number): Promise<void> {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  // Linux answers without waiting; elsewhere the number alone goes to disk first and is worth nothing until its time is known
  return beganAt(pid).then((began) => {
    if (began !== undefined) writeFileSync(file, `${JSON.stringify({ pid, began } satisfies Mark)}\n`, { mode: 0o600 });
  });
}

/** The process that `file` names, while that very process lives. */
export async function livingProcess(file: string): Promise<number | undefined> {
  try {
    const mark = markSchema.parse(JSON.parse(readFileSync(file, "utf8")));
    return (await beganAt(mark.pid)) === mark.began ? mark.pid : undefined;
  } catch {
    return undefined;
  }
}

/** Ends the very process that `file` names, if it lives: asks, and after `graceMs` insists. Removes the file. Resolves with what it ended. */
export async function reapPidFile(file: string, graceMs = 3000): Promise<number | undefined> {
  const pid = await livingProcess(file);
  if (pid !== undefined) {
    signalProcess(pid, "SIGTERM");
    for (let waited = 0; waited < graceMs && (await livingProcess(file)) !== undefined; waited += 20) await wait(20);
    if ((await livingProcess(file)) !== undefined) signalProcess(pid, "SIGKILL");
    for (let waited = 0; waited < graceMs && (await livingProcess(file)) !== undefined; waited += 10) await wait(10);
  }
  rmSync(file, { force: true });
  return pid;
}

/** A signal to one process by its number; that it has gone already is fine. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // gone
  }
}
