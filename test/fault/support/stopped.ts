import { spawn } from "node:child_process";

/** A process that stands still (SIGSTOP) until disposed of. */
export function standStill(pid: number): Disposable & { go(): void } {
  // it would stand still for ever if we were killed meanwhile: the guard's input ends with us
  const guard = spawn("/bin/sh", ["-c", 'read -r _; kill -CONT "$1"', "guard", String(pid)], { stdio: ["pipe", "ignore", "ignore"] });
  guard.on("error", () => undefined);
  process.kill(pid, "SIGSTOP");
  let still = true;
  const go = () => {
    if (!still) return;
    still = false;
    guard.stdin?.end();
    try {
      process.kill(pid, "SIGCONT");
    } catch {
      // gone
    }
  };
  return { go, [Symbol.dispose]: go };
}
