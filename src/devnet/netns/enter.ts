import { spawn } from "node:child_process";
import { MystError } from "../../lib/errors.ts";

/** in the environment of the one that runs inside */
const marker = "MYSTNODE_DEVNET_INSIDE";

export const isInside = (env: NodeJS.ProcessEnv = process.env): boolean => env[marker] === "1";

/** as a login as root has it; `su` without `-` does not */
const sbin = ["/usr/local/sbin", "/usr/sbin", "/sbin"];
export const pathWithSbin = (path = ""): string =>
  [...path.split(":").filter(Boolean), ...sbin].filter((one, i, all) => all.indexOf(one) === i).join(":");

/**
 * What runs a command in network, mount and PID namespaces of its own, so that nothing of it can outlive us: the kernel ends `unshare`
 * with us (--pdeathsig), the first process of the PID namespace with `unshare` (--kill-child), and all others with that.
 * The first process is a shell: it takes in orphans, which the command would not, and ends with the command.
 */
export const unshareLine = (command: readonly string[]): string[] => [
  ...["setpriv", "--pdeathsig", "KILL", "--", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"],
  ...["sh", "-c", '"$@"; exit $?', "mystnode-devnet", ...command],
];

/**
 * Runs this same command line again, inside namespaces of its own. It shares our terminal; asking us to end asks it.
 * @param onPid called with the host's number of the process through which the namespaces are entered
 * @returns its exit status
 * @throws INTERNAL when it was killed
 */
export async function runInside(signal: AbortSignal, onPid: (pid: number) => Promise<void> | void = () => undefined): Promise<number> {
  const [file = "", ...args] = unshareLine([process.execPath, ...process.execArgv, ...process.argv.slice(1)]);
  const child = spawn(file, args, {
    stdio: ["inherit", "inherit", "inherit", "ipc"],
    env: { ...process.env, [marker]: "1", PATH: pathWithSbin(process.env.PATH) },
  });
  // its end of the channel closing is what asks a command to end (cli/interrupts.ts)
  const ask = () => child.connected && child.disconnect();
  signal.addEventListener("abort", ask, { once: true });
  const ended = new Promise<number | NodeJS.Signals>((resolve, reject) => {
    child.once("exit", (status, name) => resolve(name ?? status ?? 1));
    child.once("error", (cause) => reject(new MystError("TOOL_MISSING", `cannot run ${file}`, { cause })));
  });
  try {
    if (child.pid !== undefined) await onPid(child.pid);
    if (signal.aborted) ask();
    const how = await ended;
    if (typeof how === "number" && how < 128 + 1) return how;
    if (how === 130) return how;
    throw new MystError("INTERNAL", `the devnet was killed (${how})`, { hint: "nothing of it is left: start it again" });
  } finally {
    signal.removeEventListener("abort", ask);
  }
}
