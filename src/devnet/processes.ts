import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { socketPathOf } from "../api/socket-path.ts";
import { systemClock } from "../lib/clock.ts";
import { MystError } from "../lib/errors.ts";
import type { Logger } from "../lib/ports.ts";
import { reapPidFile, writePidFile } from "./pids.ts";

export type NodeProcess = {
  name: string;
  dataDir: string;
  pid: number;
  /** resolves when it is gone, with how: its exit status, or the signal that ended it */
  ended: Promise<number | NodeJS.Signals>;
  /** Asks it to end, insists after `graceMs`. */
  stop(graceMs?: number): Promise<void>;
};

export type SpawnOptions = {
  name: string;
  /** its own; also holds what it prints (node.out), its log (node.log) and pid file (node.pid) */
  dataDir: string;
  /** of the command line, without --data-dir */
  args: string[];
  /** the command line that runs this program where it belongs, as the very process that is started; default: here */
  program?: readonly string[];
  log: Logger;
  signal?: AbortSignal;
  /** called in the turn that starts it: from then on it is to be ended */
  onProcess?(process: NodeProcess): void;
};

/** The command line that runs this program. */
export const ownProgram: readonly string[] = [process.execPath, fileURLToPath(new URL("../../bin/mystnode.js", import.meta.url))];
const pidFileOf = (dataDir: string) => join(dataDir, "node.pid");
const logFileOf = (dataDir: string) => join(dataDir, "node.log");
const outputFileOf = (dataDir: string) => join(dataDir, "node.out");

/**
 * Runs the very command that an operator or a consumer runs, with a data directory of its own. It does not outlive us: it ends
 * when the channel to us closes, and its pid file lets the next start end it should that fail.
 * What a crash left running on this data directory is ended first.
 */
export async function spawnNode({ name, dataDir, args, program = ownProgram, log, signal, onProcess }: SpawnOptions): Promise<NodeProcess> {
  await reapPidFile(pidFileOf(dataDir));
  if (signal?.aborted) throw interrupted(signal);
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const errors = openSync(logFileOf(dataDir), "a", 0o600);
  const output = openSync(outputFileOf(dataDir), "w", 0o600);
  // in a session of its own, so that Ctrl-C reaches it through us and in order
  const [file = "", ...rest] = [...program, ...args, "--data-dir", dataDir];
  const child = spawn(file, rest, {
    detached: true,
    stdio: ["ignore", output, errors, "ipc"],
    env: cleanEnvironment(dataDir),
  });
  closeSync(output);
  closeSync(errors);
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once("exit", (code, signal) => resolve(signal ?? code ?? 1));
    child.once("error", () => resolve(1));
  });
  const { pid } = child;
  if (pid === undefined) throw new MystError("INTERNAL", `cannot start ${name}`);
  const noted = writePidFile(pidFileOf(dataDir), pid);
  const stop = async (graceMs = 5000) => {
    const late = setTimeout(() => child.kill("SIGKILL"), graceMs);
    child.kill("SIGTERM");
    await ended;
    clearTimeout(late);
    await reapPidFile(pidFileOf(dataDir));
    // of one that was killed; nobody listens there any more
    rmSync(socketPathOf(dataDir), { force: true });
  };
  const node = { name, dataDir, pid, ended, stop };
  onProcess?.(node);
  log.debug("process started", { name, pid });
  await noted;
  return node;
}

/** Ours, without what would configure the node behind our back. */
function cleanEnvironment(dataDir: string): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("MYSTNODE_"));
  return { ...Object.fromEntries(kept), XDG_CONFIG_HOME: dataDir, XDG_DATA_HOME: dataDir };
}

/**
 * Asks again and again until `probe` answers; what it throws means not yet.
 * @throws INTERNAL with the last line of its log when the process ends first, PEER_TIMEOUT after `ms`, INTERRUPTED
 */
export async function ready<T>(node: NodeProcess, probe: () => Promise<T | undefined>, ms: number, signal?: AbortSignal): Promise<T> {
  let gone: number | NodeJS.Signals | undefined;
  void node.ended.then((how) => {
    gone = how;
  });
  const until = performance.now() + ms;
  let last: unknown;
  while (performance.now() < until) {
    if (signal?.aborted) throw interrupted(signal);
    if (gone !== undefined) throw new MystError("INTERNAL", `${node.name} ended (${gone}): ${lastWords(node.dataDir)}`, logHint(node));
    try {
      const answer = await probe();
      if (answer !== undefined) return answer;
    } catch (error) {
      last = error;
    }
    await systemClock.sleep(40, signal).catch(() => undefined);
  }
  throw new MystError("PEER_TIMEOUT", `${node.name} was not ready within ${ms} ms`, { ...logHint(node), cause: last });
}

/** What the process has printed so far, line by line; with --json each is one object. */
export const outputLines = (node: NodeProcess): string[] => readFileSync(outputFileOf(node.dataDir), "utf8").split("\n").slice(0, -1);

const interrupted = (signal: AbortSignal) => new MystError("INTERRUPTED", "interrupted", { cause: signal.reason });
const logHint = (node: NodeProcess) => ({ hint: `its log is ${logFileOf(node.dataDir)}` });

function lastWords(dataDir: string): string {
  if (!existsSync(logFileOf(dataDir))) return "";
  const lines = readFileSync(logFileOf(dataDir), "utf8").trim().split("\n");
  return (lines.findLast((line) => line.startsWith("error [")) ?? lines.at(-1) ?? "").slice(0, 300);
}
