import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, existsSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, dirname, join, resolve } from "node:path";
import { MystError } from "../lib/errors.ts";
import type { Logger } from "../lib/ports.ts";
import { reapPidFile, writePidFile } from "./pids.ts";

export type Anvil = AsyncDisposable & {
  /** http://host:port */
  rpc: string;
  pid: number;
  /** resolves when the process is gone, however it went */
  ended: Promise<void>;
  /** Writes the state file a last time and ends it. */
  stop(): Promise<void>;
};

export type AnvilOptions = {
  /** where the chain is kept; read when it exists, written each second and at the end. Default: the chain is forgotten. */
  stateFile?: string;
  /** notes the process, so that the next start ends what a crash left behind; default beside the state file */
  pidFile?: string;
  /** put before the command, it runs where it belongs, as the same process */
  enter?: readonly string[];
  /** the address to listen on; default 127.0.0.1 */
  host?: string;
  /** default 31337 */
  chainId?: number;
  /** seconds between blocks; default: a block per transaction, at once */
  blockTime?: number;
  log: Logger;
  signal?: AbortSignal;
};

const stopGraceMs = 3000;
const startMs = 15_000;

/** Anvil's binary: from npm, $ANVIL or PATH. @throws TOOL_MISSING */
export function findAnvil(env: NodeJS.ProcessEnv = process.env): string {
  // the npm package's own launcher hides exit codes and would stand between us and the process
  const { platform } = process;
  const arch = process.arch === "x64" ? "amd64" : process.arch;
  const name = platform === "win32" ? "anvil.exe" : "anvil";
  const here = createRequire(import.meta.url);
  const bundled = `@foundry-rs/anvil-${platform}-${arch}/bin/${name}`;
  const candidates = [() => here.resolve(bundled), () => createRequire(here.resolve("@foundry-rs/anvil/package.json")).resolve(bundled)];
  if (env.ANVIL) candidates.push(() => env.ANVIL as string);
  for (const directory of (env.PATH ?? "").split(delimiter)) if (directory) candidates.push(() => join(directory, name));
  for (const candidate of candidates) {
    try {
      const path = candidate();
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // try the next
    }
  }
  throw new MystError("TOOL_MISSING", "anvil, the chain that devnet runs on, is not installed", {
    hint: "run 'npm install @foundry-rs/anvil', or set ANVIL to the path of Foundry's anvil",
  });
}

/**
 * Starts a private chain, on loopback unless told otherwise, on a port of the system's choice. It never outlives this process: a guard ends it when we die
 * without a word, and a pid file lets the next start end what even that left behind.
 * @throws TOOL_MISSING, STORE_CORRUPT (the state file cannot be read), INTERRUPTED
 */
export async function startAnvil(options: AnvilOptions): Promise<Anvil> {
  const { log, signal } = options;
  const stateFile = options.stateFile && resolve(options.stateFile);
  const binary = findAnvil();
  const pidFile = options.pidFile ?? (stateFile && `${stateFile}.pid`);
  if (pidFile) await reapPidFile(pidFile);
  interruptedBy(signal);
  const directory = stateFile && dirname(stateFile);
  if (directory) mkdirSync(directory, { recursive: true, mode: 0o700 });
  const host = options.host ?? "127.0.0.1";
  const [file = "", ...args] = [
    ...(options.enter ?? []),
    binary,
    "--host",
    host,
    "--port",
    "0",
    "--chain-id",
    String(options.chainId ?? 31337),
  ];
  if (stateFile) args.push("--state", stateFile, "--state-interval", "1", "--cache-path", join(dirname(stateFile), "anvil-cache"));
  if (options.blockTime) args.push("--block-time", String(options.blockTime));
  // in a session of its own: the terminal's Ctrl-C is ours to hand on, in order
  const child = spawn(file, args, { detached: true, stdio: ["ignore", "pipe", "pipe"], ...(directory && { cwd: directory }) });
  const failed = new Promise<never>((_, reject) =>
    child.once("error", (cause) => reject(new MystError("TOOL_MISSING", `cannot run ${binary}`, { cause }))),
  );
  failed.catch(() => undefined);
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  const { pid } = child;
  if (pid === undefined) return failed;
  const noted = pidFile ? writePidFile(pidFile, pid) : undefined;
  const guard = guardOf(pid, stateFile ?? "anvil");
  const allEnded = ended.then(() => endGuard(guard));
  await noted;
  const stop = async () => {
    const late = setTimeout(() => child.kill("SIGKILL"), stopGraceMs);
    child.kill("SIGTERM");
    await allEnded;
    clearTimeout(late);
    if (pidFile) await reapPidFile(pidFile);
  };
  try {
    const rpc = await Promise.race([listening(child, host, ended, stateFile, signal), failed]);
    log.info("anvil runs", { rpc, pid });
    return { rpc, pid, ended: allEnded, stop, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Ends `pid` once we are gone: its standard input closes with us, whatever ends us. POSIX only needs sh, so macOS has it too. */
function guardOf(pid: number, name: string): ChildProcess {
  const guard = spawn("/bin/sh", ["-c", 'read -r _; kill -TERM "$1"', `guard of ${name}`, String(pid)], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  guard.on("error", () => undefined);
  guard.stdin?.on("error", () => undefined);
  guard.unref();
  (guard.stdin as { unref?(): void } | null)?.unref?.();
  return guard;
}

async function endGuard(guard: ChildProcess): Promise<void> {
  if (guard.pid === undefined || guard.exitCode !== null || guard.signalCode !== null) return;
  const gone = once(guard, "exit");
  guard.ref();
  guard.kill("SIGKILL");
  await gone;
}

/** Its address, once it says so. Its output is read to the end, or a full pipe would stall it. */
function listening(
  child: ChildProcess,
  host: string,
  ended: Promise<void>,
  stateFile: string | undefined,
  signal?: AbortSignal,
): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = "";
    const onChunk = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-8000);
      const [, address, port] = /Listening on ([\d.]+):(\d+)/.exec(output) ?? [];
      if (address === host) settle(() => resolve(`http://${host}:${port}`));
    };
    const settle = (finish: () => void) => {
      clearTimeout(late);
      signal?.removeEventListener("abort", onAbort);
      for (const stream of [child.stdout, child.stderr]) stream?.off("data", onChunk).resume();
      finish();
    };
    const onAbort = () => settle(() => reject(interrupted(signal)));
    const late = setTimeout(() => settle(() => reject(new MystError("INTERNAL", `anvil did not listen within ${startMs} ms`))), startMs);
    child.stdout?.on("data", onChunk);
    child.stderr?.on("data", onChunk);
    signal?.addEventListener("abort", onAbort, { once: true });
    void ended.then(() => settle(() => reject(startError(output, stateFile))));
  });
}

function startError(output: string, stateFile: string | undefined): MystError {
  if (stateFile && existsSync(stateFile) && /failed to parse json|state/i.test(output))
    return new MystError("STORE_CORRUPT", `the chain's state file ${stateFile} is damaged`, {
      hint: `delete ${dirname(stateFile)} to begin with a fresh chain`,
    });
  return new MystError("INTERNAL", `anvil ended at once: ${output.trim().split("\n").at(-1) ?? ""}`.slice(0, 300));
}

const interrupted = (signal: AbortSignal | undefined) => new MystError("INTERRUPTED", "interrupted", { cause: signal?.reason });
const interruptedBy = (signal: AbortSignal | undefined) => {
  if (signal?.aborted) throw interrupted(signal);
};
