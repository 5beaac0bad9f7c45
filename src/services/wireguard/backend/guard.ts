import { spawn } from "node:child_process";

/**
 * Kills the process `pid` once we are gone, whatever ended us: the guard's standard input closes with us. To be ended as soon as `pid` has
 * ended by itself, so that it never kills another that got the number.
 */
export function startGuard(pid: number): { end(): void } {
  const guard = spawn("/bin/sh", ["-c", 'read -r _; kill -KILL "$1"', "mystnode guard", String(pid)], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  guard.on("error", () => undefined);
  guard.stdin.on("error", () => undefined);
  guard.unref();
  (guard.stdin as typeof guard.stdin & { unref?(): void }).unref?.();
  return { end: () => void guard.kill("SIGKILL") };
}
